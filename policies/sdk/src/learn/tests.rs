//! Rules of import policies: what they are shown, and how their answers cross.

use serde::Deserialize;

use crate::{
    Acceptance, Context, Description, ImportDecision, ImportPolicy, ImportVerdict, Installation,
    LearnedRoute, RouteAttributes, evaluate_import, testing, validate_import_settings,
};

/// Rejects paths that are too long, keeps those that end in a set out of the kernel, prefers the
/// others.
struct Short(usize);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortSettings {
    longest: usize,
}

impl ImportPolicy for Short {
    type Settings = ShortSettings;

    fn describe() -> Description {
        crate::description!("Takes short paths")
    }

    fn new(settings: ShortSettings) -> Result<Self, String> {
        match settings.longest {
            0 => Err("longest is 0: no route has a shorter path".into()),
            longest => Ok(Self(longest)),
        }
    }

    fn decide(&self, context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        let length = route.path_length();
        if length > self.0 {
            return ImportDecision::reject(
                context.explain(|| format!("the path has {length} ASes")),
            );
        }
        if route.origin_asn().is_none() {
            return ImportDecision::accept(Acceptance {
                installation: Some(Installation::Keep),
                ..Acceptance::default()
            });
        }
        ImportDecision::accept(Acceptance {
            attributes: Some(RouteAttributes {
                local_pref: Some(200),
                ..route.attributes.clone()
            }),
            installation: None,
        })
        .because(context.explain(|| format!("short, from {}", route.peer.name)))
    }
}

fn three_routes() -> testing::LearnedBuilder {
    testing::learned()
        .settings(r#"{"longest": 2}"#)
        .proposed(RouteAttributes {
            med: Some(7),
            ..RouteAttributes::default()
        })
        .route("203.0.113.0/25")
        .route("203.0.113.128/25")
        .aggregated(&[64520, 64521])
        .route("198.51.100.0/24")
        .path(&[64513, 64514, 64515])
        .route("2001:db8::/32")
}

#[test]
fn each_route_is_decided_by_its_own_path_and_attributes() {
    let decisions = three_routes().decide::<Short>().unwrap();
    let preferred = ImportDecision::accept(Acceptance {
        attributes: Some(RouteAttributes {
            med: Some(7),
            local_pref: Some(200),
            ..RouteAttributes::default()
        }),
        installation: None,
    })
    .because("short, from tor-1");
    assert_eq!(decisions[0], preferred);
    assert_eq!(decisions[1], preferred);
    assert_eq!(
        decisions[2].verdict,
        ImportVerdict::Accept(Acceptance {
            attributes: None,
            installation: Some(Installation::Keep),
        })
    );
    assert_eq!(decisions[3], ImportDecision::reject("the path has 3 ASes"));
}

#[test]
fn equal_reasons_and_attribute_sets_of_learned_routes_cross_once() {
    let answer = evaluate_import::<Short>(&three_routes().build()).unwrap();
    assert_eq!(answer.decisions.len(), 4);
    assert_eq!(answer.attribute_sets.len(), 1);
    assert_eq!(answer.reasons, ["short, from tor-1", "the path has 3 ASes"]);
}

#[test]
fn decisions_about_learned_routes_are_the_same_without_reasons() {
    let with = three_routes().decide::<Short>().unwrap();
    let without = three_routes().without_reasons().decide::<Short>().unwrap();
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with.verdict, without.verdict);
        assert_eq!(without.reason, None);
    }
}

#[test]
fn a_path_that_is_not_there_is_an_error() {
    let mut batch = three_routes().build();
    batch.paths.pop();
    assert_eq!(
        evaluate_import::<Short>(&batch).unwrap_err(),
        "the batch has no entry that 2001:db8::/32 names"
    );
}

#[test]
fn settings_of_import_policies_are_checked() {
    assert_eq!(
        validate_import_settings::<Short>(r#"{"longest": 3}"#),
        Ok(())
    );
    assert_eq!(
        validate_import_settings::<Short>(r#"{"longest": 0}"#).unwrap_err(),
        "longest is 0: no route has a shorter path"
    );
    assert_eq!(
        validate_import_settings::<Short>(r#"{"long": 3}"#).unwrap_err(),
        "unknown field `long`, expected `longest`"
    );
}

/// Tells what it sees of a path.
struct Told;

impl ImportPolicy for Told {
    type Settings = crate::NoSettings;

    fn describe() -> Description {
        crate::description!("Tells paths")
    }

    fn new(_: crate::NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn decide(&self, _context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        ImportDecision::abstain().because(format!(
            "{} ASes from {:?}, passed 64520: {}",
            route.path_length(),
            route.origin_asn(),
            route.passed(64520)
        ))
    }
}

#[test]
fn a_set_counts_as_one_as_and_hides_the_origin() {
    let decisions = testing::learned()
        .path(&[64513, 64520])
        .route("203.0.113.0/24")
        .path(&[64513])
        .aggregated(&[64520, 64521])
        .route("203.0.113.0/24")
        .path(&[])
        .route("203.0.113.0/24")
        .decide::<Told>()
        .unwrap();
    let told: Vec<_> = decisions
        .iter()
        .map(|decision| decision.reason.as_deref().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "2 ASes from Some(64520), passed 64520: true",
            "2 ASes from None, passed 64520: true",
            "0 ASes from None, passed 64520: false",
        ]
    );
}
