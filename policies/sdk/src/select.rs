//! Which routes a setting is about.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Candidate, Label, RouteKind, find};

/// The value that stands for any value of a label or annotation.
const ANY: &str = "*";

/// Labels or annotations to look for: each key must be there with its value; `*` is any value.
pub type Wanted = BTreeMap<String, String>;

/// Whether everything wanted is there; `value_of` finds the value of a key, as
/// [`Service::label`](crate::Service::label) does.
pub fn has_all<'a>(value_of: impl Fn(&str) -> Option<&'a str>, wanted: &Wanted) -> bool {
    wanted
        .iter()
        .all(|(key, value)| matches(value_of(key), value))
}

/// The first wanted key that is there with its value.
#[must_use]
pub fn has_any<'a>(labels: &[Label], wanted: &'a Wanted) -> Option<&'a str> {
    wanted
        .iter()
        .find(|(key, value)| matches(find(labels, key), value))
        .map(|(key, _)| key.as_str())
}

fn matches(found: Option<&str>, wanted: &str) -> bool {
    found.is_some_and(|found| wanted == ANY || wanted == found)
}

/// A setting that selects routes. Everything that is given must hold; the empty selector selects
/// every route. Namespaces, labels and annotations are a Service's, so a selector with any of
/// them selects addresses of Services only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// One of these kinds.
    pub routes: Vec<RouteKind>,
    /// Of a Service in one of these namespaces.
    pub namespaces: Vec<String>,
    /// Of a Service with all of these labels.
    pub labels: Wanted,
    /// Of a Service with all of these annotations.
    pub annotations: Wanted,
}

impl Selector {
    /// Whether it selects this candidate.
    #[must_use]
    pub fn selects(&self, candidate: &Candidate<'_>) -> bool {
        if !self.routes.is_empty() && !self.routes.contains(&candidate.kind()) {
            return false;
        }
        let Some(service) = candidate.service() else {
            return self.namespaces.is_empty()
                && self.labels.is_empty()
                && self.annotations.is_empty();
        };
        (self.namespaces.is_empty()
            || self
                .namespaces
                .iter()
                .any(|namespace| namespace == service.namespace()))
            && has_all(|key| service.label(key), &self.labels)
            && has_all(|key| service.annotation(key), &self.annotations)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        AddressKind, Candidate, Context, Decision, Description, Policy, Selector, testing,
    };

    /// Accepts what the selector selects.
    struct Selected(Selector);

    impl Policy for Selected {
        type Settings = Selector;

        fn describe() -> Description {
            crate::description!("Accepts what is selected")
        }

        fn new(selector: Selector) -> Result<Self, String> {
            Ok(Self(selector))
        }

        fn decide(&self, _context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
            if self.0.selects(candidate) {
                Decision::accept()
            } else {
                Decision::abstain()
            }
        }
    }

    /// Which of five candidates are selected: a pod CIDR, a range, and three addresses.
    fn selected(settings: &str) -> Vec<bool> {
        let web = testing::service("shop/web")
            .with_label("tier", "gold")
            .with_annotation("owner", "");
        let api = testing::service("bank/api").with_label("tier", "iron");
        testing::batch()
            .settings(settings)
            .pod_cidr("10.1.0.0/24")
            .service_cidr("192.0.2.0/24", AddressKind::LoadBalancerIp)
            .address("192.0.2.1/32", AddressKind::LoadBalancerIp, web.clone())
            .address("10.96.0.1/32", AddressKind::ClusterIp, web)
            .address("192.0.2.2/32", AddressKind::ExternalIp, api)
            .decide::<Selected>()
            .unwrap()
            .iter()
            .map(|decision| *decision == Decision::accept())
            .collect()
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        for (settings, expected) in [
            ("{}", [true; 5]),
            (
                r#"{"routes": ["pod-cidr"]}"#,
                [true, false, false, false, false],
            ),
            (
                r#"{"routes": ["service-cidr", "cluster-ip"]}"#,
                [false, true, false, true, false],
            ),
            (
                r#"{"namespaces": ["shop"]}"#,
                [false, false, true, true, false],
            ),
            (
                r#"{"namespaces": ["shop"], "routes": ["load-balancer-ip"]}"#,
                [false, false, true, false, false],
            ),
            (
                r#"{"labels": {"tier": "*"}}"#,
                [false, false, true, true, true],
            ),
            (
                r#"{"labels": {"tier": "iron"}}"#,
                [false, false, false, false, true],
            ),
            (
                r#"{"annotations": {"owner": ""}}"#,
                [false, false, true, true, false],
            ),
            (r#"{"annotations": {"owner": "x"}}"#, [false; 5]),
        ] {
            assert_eq!(selected(settings), expected, "{settings}");
        }
    }

    #[test]
    fn wrong_selectors_name_the_key() {
        for (settings, error) in [
            (
                r#"{"routes": ["pods"]}"#,
                "routes[0]: unknown variant `pods`, expected one of `pod-cidr`, `ipam-block`, \
                 `service-cidr`, `cluster-ip`, `external-ip`, `load-balancer-ip`, `static-route`, \
                 `learned-route`",
            ),
            (
                r#"{"labels": {"tier": true}}"#,
                "labels.tier: invalid type: boolean `true`, expected a string",
            ),
            (
                r#"{"namespace": "shop"}"#,
                "unknown field `namespace`, expected one of `routes`, `namespaces`, `labels`, \
                 `annotations`",
            ),
        ] {
            assert_eq!(
                crate::validate_settings::<Selected>(settings),
                Err(error.into())
            );
        }
    }
}
