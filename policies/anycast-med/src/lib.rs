//! Makes routers prefer the nodes that can serve an anycast address best: by MED, AS_PATH
//! prepending or LOCAL_PREF in steps of the endpoints a node has, and by site.
//!
//! For an address of a Service that the selector selects:
//! 1. The step with the most endpoints that the node reaches gives the attributes; a node that
//!    reaches none keeps those that were proposed.
//! 2. On a node outside the Service's primary site, what `backup` names is set instead.
//!
//! Steps, and not a formula, so that one pod more or less changes a route only where the operator
//! drew a line. Endpoints are those that kube-proxy would send traffic to; a node that does not
//! answer for the address has none. It has no opinion on whether a route is announced: where nothing
//! changes it abstains. Settings and examples are in the README.

use std::collections::BTreeMap;

use rutter_policy::{
    Candidate, Context, Decision, Description, PREPEND_MAX, Policy, RouteAttributes, Selector,
    Service, description, export_policy,
};
use serde::Deserialize;

/// The policy.
#[derive(Clone, Debug)]
pub struct AnycastMed {
    selector: Selector,
    /// By the endpoints that a node needs for them.
    steps: BTreeMap<u32, Preference>,
    sites: Option<Sites>,
}

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(rename = "match", default)]
    selector: Selector,
    #[serde(default)]
    steps: Vec<Step>,
    sites: Option<Sites>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Step {
    /// At least so many usable endpoints of the address's family on this node.
    endpoints: u32,
    med: Option<u32>,
    prepend: Option<u8>,
    local_pref: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sites {
    /// The node's label that names its site.
    node_label: String,
    /// The primary site of Services that name none.
    primary: Option<String>,
    /// The annotation by which a Service names its primary site.
    primary_annotation: Option<String>,
    /// What routes from any other site are given.
    backup: Preference,
}

/// Attributes to set; what is absent stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Preference {
    med: Option<u32>,
    prepend: Option<u8>,
    local_pref: Option<u32>,
}

impl Policy for AnycastMed {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "anycast-med".into(),
            ..description!(
                "Prefers nodes with more endpoints, and the primary site",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        let Settings {
            selector,
            steps: raw,
            sites,
        } = settings;
        if raw.is_empty() && sites.is_none() {
            return Err("neither steps nor sites is set: nothing would be changed".into());
        }
        let mut steps = BTreeMap::new();
        for (index, step) in raw.into_iter().enumerate() {
            let Step {
                endpoints,
                med,
                prepend,
                local_pref,
            } = step;
            let preference = Preference {
                med,
                prepend,
                local_pref,
            };
            preference.check(&format!("steps[{index}]"))?;
            if steps.insert(endpoints, preference).is_some() {
                return Err(format!(
                    "steps[{index}].endpoints: there are two steps for {endpoints}"
                ));
            }
        }
        if let Some(sites) = &sites {
            sites.check()?;
        }
        Ok(Self {
            selector,
            steps,
            sites,
        })
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let Some(service) = candidate.service() else {
            return Decision::abstain();
        };
        if !self.selector.selects(candidate) {
            return Decision::abstain();
        }
        let usable = candidate.usable_endpoints_here();
        let step = self.steps.range(..=usable).next_back();
        let backup = self
            .sites
            .as_ref()
            .and_then(|sites| sites.backup_for(context, &service));
        if step.is_none() && backup.is_none() {
            return Decision::abstain();
        }
        let mut attributes = candidate.attributes.clone();
        for preference in step.map(|(_, step)| step).into_iter().chain(backup) {
            preference.apply(&mut attributes);
        }
        let told = context.explain(|| told(usable, step, backup, &attributes));
        Decision::amend(candidate, attributes, told)
    }
}

export_policy!(AnycastMed);

impl Preference {
    fn check(&self, key: &str) -> Result<(), String> {
        match *self {
            Self {
                med: None,
                prepend: None,
                local_pref: None,
            } => Err(format!(
                "{key} sets nothing: name med, prepend or local-pref"
            )),
            Self {
                prepend: Some(times),
                ..
            } if times > PREPEND_MAX => {
                Err(format!("{key}.prepend: {times} is above {PREPEND_MAX}"))
            }
            Self { .. } => Ok(()),
        }
    }

    fn apply(&self, attributes: &mut RouteAttributes) {
        attributes.med = self.med.or(attributes.med);
        attributes.prepend = self.prepend.unwrap_or(attributes.prepend);
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
    }
}

impl Sites {
    fn check(&self) -> Result<(), String> {
        if self.node_label.is_empty() {
            return Err("sites.node-label is empty: name the node's label, such as \
                 topology.kubernetes.io/zone"
                .into());
        }
        if self.primary.is_none() && self.primary_annotation.is_none() {
            return Err(
                "sites has neither primary nor primary-annotation: no site would be primary".into(),
            );
        }
        self.backup.check("sites.backup")
    }

    /// What a route is given from this node, if the node is outside the primary site. A node
    /// without the label is: no traffic should prefer a node that nobody placed.
    fn backup_for(&self, context: &Context<'_>, service: &Service<'_>) -> Option<&Preference> {
        let named = self.primary_annotation.as_ref();
        let primary = named
            .and_then(|key| service.annotation(key))
            .or(self.primary.as_deref())?;
        (context.node.label(&self.node_label) != Some(primary)).then_some(&self.backup)
    }
}

fn told(
    usable: u32,
    step: Option<(&u32, &Preference)>,
    backup: Option<&Preference>,
    attributes: &RouteAttributes,
) -> String {
    let step = step.map(|(endpoints, _)| {
        format!("usable endpoints on this node: {usable}, step of {endpoints}")
    });
    let site = backup.map(|_| "this is a backup site".to_owned());
    let causes: Vec<_> = step.into_iter().chain(site).collect();
    let or_none = |number: Option<u32>| number.map_or("none".into(), |number| number.to_string());
    format!(
        "{}; MED {}, prepend {}, local preference {}",
        causes.join(", "),
        or_none(attributes.med),
        attributes.prepend,
        or_none(attributes.local_pref)
    )
}

#[cfg(test)]
mod tests;
