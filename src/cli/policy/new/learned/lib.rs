//! Takes routes of peers inside known prefixes, up to a length, and rejects all others.

use std::collections::BTreeMap;

use rutter_policy::{
    Acceptance, Cidr, Context, Description, Family, ImportDecision, ImportPolicy, LearnedRoute,
    RouteAttributes,
};
use serde::Deserialize;

struct KnownPrefixes(Settings);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    /// Each with the length of the longest route that is taken inside it.
    prefixes: BTreeMap<Cidr, u8>,
    /// What is taken is used with it; as it came where absent.
    local_pref: Option<u32>,
}

impl ImportPolicy for KnownPrefixes {
    type Settings = Settings;

    fn describe() -> Description {
        rutter_policy::description!("Takes routes of peers inside known prefixes")
    }

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.prefixes.is_empty() {
            return Err("prefixes is empty: every route would be rejected".into());
        }
        for (Cidr(range), longest) in &settings.prefixes {
            let bits = match range.family() {
                Family::Ipv4 => 32,
                Family::Ipv6 => 128,
            };
            if !(range.length..=bits).contains(longest) {
                let least = range.length;
                return Err(format!(
                    "prefixes.{range} is {longest}: write {least} to {bits}"
                ));
            }
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        let takes = |(Cidr(range), longest): &(&Cidr, &u8)| {
            range.covers(&route.prefix) && route.prefix.length <= **longest
        };
        let Some((range, _)) = self.0.prefixes.iter().find(takes) else {
            return ImportDecision::reject("inside none of the prefixes, or too long");
        };
        let preferred = |preference| RouteAttributes {
            local_pref: Some(preference),
            ..route.attributes.clone()
        };
        ImportDecision::accept(Acceptance {
            attributes: self.0.local_pref.map(preferred),
            installation: None,
        })
        .because(context.explain(|| format!("inside {range}")))
    }
}

rutter_policy::export_import_policy!(KnownPrefixes);

#[cfg(test)]
mod tests {
    use super::KnownPrefixes;
    use rutter_policy::{
        Acceptance, ImportDecision, RouteAttributes, testing, validate_import_settings,
    };

    fn received() -> RouteAttributes {
        RouteAttributes {
            med: Some(10),
            ..RouteAttributes::default()
        }
    }

    #[test]
    fn a_route_inside_a_prefix_is_preferred_and_others_are_not_used() {
        let decisions = testing::learned()
            .settings(r#"{"prefixes": {"10.0.0.0/8": 24}, "local-pref": 200}"#)
            .proposed(received())
            .route("10.20.0.0/16")
            .route("10.20.1.128/25")
            .route("192.0.2.0/24")
            .decide::<KnownPrefixes>()
            .unwrap();
        let preferred = Acceptance {
            attributes: Some(RouteAttributes {
                local_pref: Some(200),
                ..received()
            }),
            installation: None,
        };
        let rejected = ImportDecision::reject("inside none of the prefixes, or too long");
        assert_eq!(
            decisions,
            [
                ImportDecision::accept(preferred).because("inside 10.0.0.0/8"),
                rejected.clone(),
                rejected,
            ]
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (settings, words) in [
            (r#"{}"#, "missing field `prefixes`"),
            (
                r#"{"prefixes": {}}"#,
                "prefixes is empty: every route would be rejected",
            ),
            (
                r#"{"prefixes": {"10.0.0.0/8": 7}}"#,
                "prefixes.10.0.0.0/8 is 7: write 8 to 32",
            ),
            (
                r#"{"prefixes": {"10.0.0.1/8": 24}}"#,
                "prefixes.10.0.0.1/8: `10.0.0.1/8` has host bits set beyond /8",
            ),
            (
                r#"{"prefixes": {"10.0.0.0/8": 24}, "local-pref": -1}"#,
                "local-pref: invalid value: integer `-1`, expected u32",
            ),
            (
                r#"{"prefix": {}}"#,
                "unknown field `prefix`, expected `prefixes` or `local-pref`",
            ),
        ] {
            let refusal = validate_import_settings::<KnownPrefixes>(settings);
            assert_eq!(refusal.unwrap_err(), words);
        }
    }
}
