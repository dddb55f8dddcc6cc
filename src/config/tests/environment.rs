//! What the environment says in place of the file.

use super::*;

/// The service cluster CIDRs, and the warnings, of a file with one range under an environment.
fn overridden(ours: Option<&str>, calicos: Option<&str>) -> (String, Vec<String>) {
    let text = "[advertise]\nservice-cluster-cidrs = ['172.16.0.0/16']";
    let config = Config::parse("rutter.toml", text, &environment(ours, calicos)).unwrap();
    let ranges = config.advertise.service_cluster_cidrs;
    let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    (ranges.join(" "), config.warnings)
}

#[test]
fn the_environment_replaces_the_service_cluster_cidrs() {
    let alone = |ours, calicos| {
        let (ranges, warnings) = overridden(ours, calicos);
        assert_eq!(warnings, Vec::<String>::new());
        ranges
    };
    assert_eq!(alone(None, None), "172.16.0.0/16");
    assert_eq!(alone(Some("10.0.0.0/8"), None), "10.0.0.0/8");
    assert_eq!(
        alone(None, Some(" 10.0.0.0/8 , fd00::/112,")),
        "10.0.0.0/8 fd00::/112"
    );
    assert_eq!(alone(Some("10.0.0.0/8"), Some("10.0.0.0/8")), "10.0.0.0/8");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let alone = |ours, calicos| overridden(ours, calicos).0;
    assert_eq!(alone(Some(""), Some("")), "172.16.0.0/16");
    assert_eq!(alone(Some(" , "), Some("10.0.0.0/8")), "10.0.0.0/8");
}

#[test]
fn our_variable_wins_over_calicos_with_a_warning() {
    let (ranges, warnings) = overridden(Some("10.0.0.0/8"), Some("10.96.0.0/12"));
    assert_eq!(ranges, "10.0.0.0/8");
    assert_eq!(
        warnings,
        [
            "RUTTER_ADVERTISE_CLUSTER_IPS (10.0.0.0/8) and CALICO_ADVERTISE_CLUSTER_IPS \
             (10.96.0.0/12) differ; the first is used"
        ]
    );
}

#[test]
fn a_malformed_variable_is_an_error_that_names_it() {
    let overrides = environment(None, Some("10.0.0.0/8,10.96.0.1/12,x"));
    let errors = Config::parse("rutter.toml", "", &overrides).unwrap_err();
    insta::assert_snapshot!(errors);
}
