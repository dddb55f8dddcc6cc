//! Which routes a rule is about, what it sets, and settings that are refused.

use rutter_policy::{
    Acceptance, Community, ImportDecision, ImportVerdict, Installation, LEARNED_COMMUNITIES_MAX,
    RouteAttributes, testing, validate_import_settings,
};

use super::ImportFilter;

fn decide(settings: &str, prefix: &str) -> ImportDecision {
    testing::learned()
        .settings(settings)
        .route(prefix)
        .decide::<ImportFilter>()
        .unwrap()
        .remove(0)
}

fn is_taken(lengths: &str, prefix: &str) -> bool {
    let settings = format!(
        r#"{{"rules": [{{"name": "own", "action": "accept",
            "prefixes": ["10.0.0.0/8", "2001:db8::/32"]{lengths}}}]}}"#
    );
    match decide(&settings, prefix).verdict {
        ImportVerdict::Accept(_) => true,
        ImportVerdict::Reject => false,
        ImportVerdict::Abstain => panic!("a rule has an opinion"),
    }
}

#[test]
fn a_rule_without_lengths_is_about_its_prefixes_alone() {
    assert!(is_taken("", "10.0.0.0/8"));
    assert!(is_taken("", "2001:db8::/32"));
    assert!(!is_taken("", "10.0.0.0/9"));
    assert!(!is_taken("", "0.0.0.0/0"));
    assert!(!is_taken("", "11.0.0.0/8"));
}

#[test]
fn one_length_leaves_the_other_end_open() {
    for (lengths, shortest, inside, longest) in [
        (r#", "max-length": 24"#, true, true, false),
        (r#", "min-length": 32"#, false, false, true),
        (
            r#", "min-length": 32, "max-length": 32"#,
            false,
            false,
            true,
        ),
    ] {
        let taken = ["10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/32"].map(|prefix| {
            let settings = format!(
                r#"{{"rules": [{{"name": "own", "action": "accept",
                        "prefixes": ["10.0.0.0/8"]{lengths}}}]}}"#
            );
            decide(&settings, prefix).verdict != ImportVerdict::Reject
        });
        assert_eq!(taken, [shortest, inside, longest], "{lengths}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let settings = r#"{"rules": [
        {"name": "secret", "action": "reject", "prefixes": ["10.9.0.0/16"], "max-length": 32},
        {"name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"], "max-length": 32}
    ]}"#;
    let refused = decide(settings, "10.9.1.0/24");
    assert_eq!(refused, ImportDecision::reject("rule `secret`"));
    let taken = decide(settings, "10.8.1.0/24");
    assert_eq!(
        taken,
        ImportDecision::accept(Acceptance::default()).because("rule `own`")
    );
}

#[test]
fn what_no_rule_matches_is_rejected_unless_others_abstains() {
    let refused = decide(r#"{"rules": []}"#, "10.0.0.0/8");
    assert_eq!(refused, ImportDecision::reject("no rule takes this prefix"));
    let left = decide(r#"{"rules": [], "others": "abstain"}"#, "10.0.0.0/8");
    assert_eq!(left, ImportDecision::abstain());
}

#[test]
fn a_long_path_is_rejected_before_any_rule() {
    let settings = r#"{"max-path-length": 2, "rules": [
        {"name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"]}]}"#;
    let decisions = testing::learned()
        .settings(settings)
        .path(&[64513, 64514])
        .route("10.0.0.0/8")
        .aggregated(&[1, 2, 3])
        .route("10.0.0.0/8")
        .decide::<ImportFilter>()
        .unwrap();
    assert!(matches!(decisions[0].verdict, ImportVerdict::Accept(_)));
    assert_eq!(
        decisions[1],
        ImportDecision::reject("its path has 3 AS numbers, 2 are the most")
    );
}

#[test]
fn a_rule_sets_what_it_names_and_keeps_the_rest() {
    let settings = r#"{"rules": [{"name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"],
        "local-pref": 200, "add-communities": ["64512:7", "64512:1:2"], "kernel": "keep"}]}"#;
    let proposed = RouteAttributes {
        med: Some(5),
        communities: vec![1],
        ..RouteAttributes::default()
    };
    let decision = testing::learned()
        .settings(settings)
        .proposed(proposed)
        .route("10.0.0.0/8")
        .decide::<ImportFilter>()
        .unwrap()
        .remove(0);
    let ImportVerdict::Accept(Acceptance {
        attributes: Some(set),
        installation: Some(Installation::Keep),
    }) = decision.verdict
    else {
        panic!("{decision:?}");
    };
    assert_eq!((set.med, set.local_pref), (Some(5), Some(200)));
    assert_eq!(set.communities, [1, 64512 << 16 | 7]);
    assert_eq!(set.large_communities.len(), 1);
}

#[test]
fn a_route_with_no_room_for_a_mark_is_rejected() {
    let settings = r#"{"rules": [{"name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"],
        "add-communities": ["64512:7"]}]}"#;
    for (received, taken) in [
        (LEARNED_COMMUNITIES_MAX - 1, true),
        (LEARNED_COMMUNITIES_MAX, false),
    ] {
        let mut proposed = RouteAttributes::default();
        for number in 0..u32::try_from(received).unwrap() {
            Community::Standard(number).add_to(&mut proposed);
        }
        let decision = testing::learned()
            .settings(settings)
            .proposed(proposed)
            .route("10.0.0.0/8")
            .decide::<ImportFilter>()
            .unwrap()
            .remove(0);
        assert_eq!(
            decision.verdict != ImportVerdict::Reject,
            taken,
            "{received}"
        );
    }
}

#[track_caller]
fn check_refused(rule: &str, why: &str) {
    let settings = format!(r#"{{"rules": [{{{rule}}}]}}"#);
    let error = validate_import_settings::<ImportFilter>(&settings).unwrap_err();
    assert!(error.contains(why), "{error}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let own = r#""name": "own", "action": "accept", "prefixes": ["10.0.0.0/8"]"#;
    check_refused(
        &format!(r#"{own}, "max-length": 33"#),
        "rules[0].max-length is 33: prefixes inside 10.0.0.0/8 have 8 to 32",
    );
    check_refused(
        &format!(r#"{own}, "min-length": 7"#),
        "rules[0].min-length is 7: prefixes inside 10.0.0.0/8 have 8 to 32",
    );
    check_refused(
        &format!(r#"{own}, "min-length": 24, "max-length": 16"#),
        "rules[0].min-length is 24, above max-length, which is 16",
    );
    check_refused(
        r#""name": "own", "action": "reject", "prefixes": ["10.0.0.0/8"], "local-pref": 1"#,
        "rules[0].action is \"reject\", so nothing else can be set",
    );
    check_refused(
        r#""name": "own", "action": "accept", "prefixes": []"#,
        "rules[0].prefixes is empty",
    );
    check_refused(
        r#""name": "", "action": "accept", "prefixes": ["10.0.0.0/8"]"#,
        "rules[0].name is empty",
    );
    check_refused(&format!(r#"{own}, "weight": 1"#), "weight");
}
