//! Rules of modules that decide both ways: who describes them, who checks settings, who decides.

use serde::Deserialize;

use super::ExportedTwoWay;
use crate::bindings::{announce, learn, module};
use crate::{
    Candidate, Context, Decision, Description, ImportDecision, ImportPolicy, LearnedRoute, Policy,
    testing, validate_two_way_settings,
};

/// Announces no prefix longer than a setting.
struct Out(u8);

/// Uses no prefix longer than another.
struct In(u8);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lengths {
    out: u8,
    r#in: u8,
}

fn length(key: &str, length: u8) -> Result<u8, String> {
    match length {
        0..=32 => Ok(length),
        more => Err(format!("{key} = {more} is above 32")),
    }
}

impl Policy for Out {
    type Settings = Lengths;

    fn describe() -> Description {
        crate::description!("Described by what it announces")
    }

    fn new(settings: Lengths) -> Result<Self, String> {
        length("out", settings.out).map(Self)
    }

    fn decide(&self, _: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        if candidate.prefix.length > self.0 {
            Decision::reject("too long to be announced")
        } else {
            Decision::abstain()
        }
    }
}

impl ImportPolicy for In {
    type Settings = Lengths;

    fn describe() -> Description {
        crate::description!("Nobody reads this")
    }

    fn new(settings: Lengths) -> Result<Self, String> {
        length("in", settings.r#in).map(Self)
    }

    fn decide(&self, _: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        if route.prefix.length > self.0 {
            ImportDecision::reject("too long to be used")
        } else {
            ImportDecision::abstain()
        }
    }
}

crate::export_two_way_policy!(Out, In);

type Module = ExportedTwoWay<Out, In>;

#[test]
fn a_two_way_module_is_described_by_its_first_policy() {
    let description = <Module as module::Guest>::describe();
    assert_eq!(description.summary, "Described by what it announces");
}

#[test]
fn settings_that_either_policy_refuses_are_refused() {
    let validate = |json: &str| {
        let words = validate_two_way_settings::<Out, In>(json);
        let exported = <Module as module::Guest>::validate_settings(json.into());
        assert_eq!(words, exported);
        words
    };
    assert_eq!(validate(r#"{"out": 32, "in": 24}"#), Ok(()));
    for (settings, words) in [
        (r#"{"out": 33, "in": 24}"#, "out = 33 is above 32"),
        (r#"{"out": 32, "in": 33}"#, "in = 33 is above 32"),
        (r#"{"out": 40, "in": 41}"#, "out = 40 is above 32"),
        (r#"{"out": 32}"#, "missing field `in`"),
    ] {
        assert_eq!(validate(settings), Err(words.into()), "{settings}");
    }
}

#[test]
fn each_policy_decides_its_own_way() {
    let settings = r#"{"out": 24, "in": 16}"#;
    let batch = testing::batch()
        .settings(settings)
        .pod_cidr("10.1.2.0/24")
        .pod_cidr("10.1.2.0/25");
    let answer = <Module as announce::Guest>::evaluate(batch.build()).unwrap();
    assert_eq!(answer.decisions.len(), 2);
    assert_eq!(answer.decisions[0].verdict, announce::Verdict::Abstain);
    assert_eq!(answer.decisions[1].verdict, announce::Verdict::Reject);
    assert_eq!(answer.reasons, ["too long to be announced"]);

    let learned = testing::learned()
        .settings(settings)
        .route("10.1.0.0/16")
        .route("10.1.2.0/24");
    let answer = <Module as learn::Guest>::evaluate(learned.build()).unwrap();
    assert_eq!(answer.decisions.len(), 2);
    assert_eq!(answer.decisions[0].verdict, learn::Verdict::Abstain);
    assert_eq!(answer.decisions[1].verdict, learn::Verdict::Reject);
    assert_eq!(answer.reasons, ["too long to be used"]);
}
