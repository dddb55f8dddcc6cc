//! Takes learned routes by prefix and length of path, and says how they are used.
//!
//! | route | decision |
//! |---|---|
//! | its path is longer than `max-path-length` | reject |
//! | the first rule that matches it says `reject` | reject |
//! | the first rule that matches it says `accept` | accept, with what the rule sets |
//! | no rule matches it | `others`: reject (the default) or abstain |
//!
//! Rules are lists of prefixes with lengths, as routers have them. Settings and examples are in
//! the README.

use rutter_policy::{
    Cidr, Community, Context, Description, Family, ImportDecision, ImportPolicy, Installation,
    LearnedRoute, Prefix, description, export_import_policy,
};
use serde::Deserialize;

/// The policy.
#[derive(Clone, Debug)]
pub struct ImportFilter(Settings);

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    rules: Vec<Rule>,
    #[serde(default)]
    others: Others,
    /// In AS numbers, as the choice of the best path counts them; no limit where absent.
    max_path_length: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    /// For reasons.
    name: String,
    action: Action,
    prefixes: Vec<Cidr>,
    /// Shortest and longest prefix inside one of `prefixes` that the rule is about. Without either
    /// it is about these prefixes themselves.
    min_length: Option<u8>,
    max_length: Option<u8>,
    local_pref: Option<u32>,
    med: Option<u32>,
    #[serde(default)]
    add_communities: Vec<Community>,
    kernel: Option<Kernel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Accept,
    Reject,
}

/// Whether the kernel forwards by the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kernel {
    Install,
    Keep,
}

/// What becomes of routes that no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Others {
    #[default]
    Reject,
    Abstain,
}

impl ImportPolicy for ImportFilter {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "import-filter".into(),
            ..description!(
                "Takes learned routes by prefix and path, and says how they are used",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        for (index, rule) in settings.rules.iter().enumerate() {
            rule.check()
                .map_err(|error| format!("rules[{index}].{error}"))?;
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        let Settings {
            rules,
            others,
            max_path_length,
        } = &self.0;
        let length = route.path_length();
        if let Some(most) = max_path_length
            && length > *most
        {
            return ImportDecision::reject(
                context
                    .explain(|| format!("its path has {length} AS numbers, {most} are the most")),
            );
        }
        let rule = rules.iter().find(|rule| rule.matches(&route.prefix));
        match (rule, others) {
            (Some(rule), Others::Reject | Others::Abstain) => match rule.action {
                Action::Accept => rule.accept(context, route),
                Action::Reject => {
                    ImportDecision::reject(context.explain(|| format!("rule `{}`", rule.name)))
                }
            },
            (None, Others::Reject) => ImportDecision::reject("no rule takes this prefix"),
            (None, Others::Abstain) => ImportDecision::abstain(),
        }
    }
}

export_import_policy!(ImportFilter);

impl Rule {
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("name is empty: reasons tell rules by it".into());
        }
        if self.prefixes.is_empty() {
            return Err("prefixes is empty: name at least one".into());
        }
        for Cidr(prefix) in &self.prefixes {
            let most = bits(prefix);
            for (key, length) in [
                ("min-length", self.min_length),
                ("max-length", self.max_length),
            ] {
                if let Some(length) = length
                    && !(prefix.length..=most).contains(&length)
                {
                    return Err(format!(
                        "{key} is {length}: prefixes inside {prefix} have {} to {most}",
                        prefix.length
                    ));
                }
            }
        }
        if let (Some(min), Some(max)) = (self.min_length, self.max_length)
            && min > max
        {
            return Err(format!(
                "min-length is {min}, above max-length, which is {max}"
            ));
        }
        let changes = self.local_pref.is_some()
            || self.med.is_some()
            || !self.add_communities.is_empty()
            || self.kernel.is_some();
        if self.action == Action::Reject && changes {
            return Err("action is \"reject\", so nothing else can be set".into());
        }
        Ok(())
    }

    fn matches(&self, prefix: &Prefix) -> bool {
        self.prefixes.iter().any(|Cidr(range)| {
            let (min, max) = match (self.min_length, self.max_length) {
                (None, None) => (range.length, range.length),
                (Some(min), None) => (min, bits(range)),
                (None, Some(max)) => (range.length, max),
                (Some(min), Some(max)) => (min, max),
            };
            range.covers(prefix) && (min..=max).contains(&prefix.length)
        })
    }

    fn accept(&self, context: &Context<'_>, route: &LearnedRoute<'_>) -> ImportDecision {
        let mut attributes = route.attributes.clone();
        attributes.local_pref = self.local_pref.or(attributes.local_pref);
        attributes.med = self.med.or(attributes.med);
        for community in &self.add_communities {
            community.add_to(&mut attributes);
        }
        let installation = self.kernel.map(|kernel| match kernel {
            Kernel::Install => Installation::Install,
            Kernel::Keep => Installation::Keep,
        });
        let reason = context.explain(|| format!("rule `{}`", self.name));
        ImportDecision::amend(route, attributes, installation, reason)
    }
}

fn bits(prefix: &Prefix) -> u8 {
    match prefix.family() {
        Family::Ipv4 => 32,
        Family::Ipv6 => 128,
    }
}

#[cfg(test)]
mod tests;
