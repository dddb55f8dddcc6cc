//! Rejects addresses of Services that do not ask to be announced, by a label.

use rutter_policy::{Candidate, Context, Decision, Description, Policy};
use serde::Deserialize;

struct OptIn {
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    label: String,
}

impl Policy for OptIn {
    type Settings = Settings;

    fn describe() -> Description {
        rutter_policy::description!("Announces the Services that ask for it")
    }

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.label.is_empty() {
            return Err("label is empty: name the label that Services opt in with".into());
        }
        Ok(Self {
            label: settings.label,
        })
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        match candidate.service() {
            Some(service) if service.label(&self.label) != Some("true") => Decision::reject(
                context.explain(|| format!("{service} is not labelled {}=true", self.label)),
            ),
            Some(_) | None => Decision::abstain(),
        }
    }
}

rutter_policy::export_policy!(OptIn);

#[cfg(test)]
mod tests {
    use super::OptIn;
    use rutter_policy::{AddressKind, Decision, Verdict, testing};

    #[test]
    fn a_service_without_the_label_is_not_announced() {
        let quiet = testing::service("shop/quiet");
        let loud = testing::service("shop/loud").with_label("announce", "true");
        let decisions = testing::batch()
            .settings(r#"{"label": "announce"}"#)
            .pod_cidr("10.1.0.0/24")
            .address("192.0.2.1/32", AddressKind::LoadBalancerIp, quiet)
            .address("192.0.2.2/32", AddressKind::LoadBalancerIp, loud)
            .decide::<OptIn>()
            .unwrap();
        assert_eq!(decisions[0], Decision::abstain());
        assert_eq!(decisions[1].verdict, Verdict::Reject);
        assert_eq!(
            decisions[1].reason.as_deref(),
            Some("shop/quiet is not labelled announce=true")
        );
        assert_eq!(decisions[2], Decision::abstain());
    }
}
