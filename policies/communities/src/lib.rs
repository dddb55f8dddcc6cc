//! Adds communities to routes: by rules over namespaces, labels and annotations, and, where the
//! operator lets them, those that a Service asks for in an annotation.
//!
//! All rules that match add theirs. It has no opinion on whether a route is announced: what it
//! changes it accepts with the new attributes, everything else it abstains from. Settings and
//! examples are in the README.

use std::collections::BTreeSet;

use rutter_policy::{
    Candidate, Community, Context, Decision, Description, Policy, Selector, description,
    export_policy,
};
use serde::Deserialize;

/// The policy.
#[derive(Clone, Debug)]
pub struct Communities(Settings);

/// What the operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default)]
    rules: Vec<Rule>,
    annotation: Option<Annotation>,
}

/// What routes that match are given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(rename = "match", default)]
    selector: Selector,
    add: Vec<Community>,
}

/// Lets Services ask for communities.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    /// The annotation; its value is a list separated by commas.
    key: String,
    /// What they may ask for.
    allow: Vec<Community>,
}

/// What one route gets.
#[derive(Default)]
struct Marks<'a> {
    added: BTreeSet<Community>,
    /// Items of the annotation that are no communities or not allowed.
    ignored: Vec<&'a str>,
}

impl Policy for Communities {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            name: "communities".into(),
            ..description!(
                "Adds communities by namespace, label or annotation",
                include_str!("../settings.schema.json")
            )
        }
    }

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.rules.is_empty() && settings.annotation.is_none() {
            return Err("neither rules nor annotation is set: nothing would be added".into());
        }
        for (index, rule) in settings.rules.iter().enumerate() {
            if rule.add.is_empty() {
                return Err(format!("rules[{index}].add is empty: name a community"));
            }
        }
        if let Some(annotation) = &settings.annotation {
            if annotation.key.is_empty() {
                return Err("annotation.key is empty: name the annotation of Services".into());
            }
            if annotation.allow.is_empty() {
                return Err(
                    "annotation.allow is empty: name the communities that Services may ask for"
                        .into(),
                );
            }
        }
        Ok(Self(settings))
    }

    fn decide(&self, context: &Context<'_>, candidate: &Candidate<'_>) -> Decision {
        let marks = self.marks(candidate);
        if marks.added.is_empty() && marks.ignored.is_empty() {
            return Decision::abstain();
        }
        let mut attributes = candidate.attributes.clone();
        for community in &marks.added {
            community.add_to(&mut attributes);
        }
        Decision::amend(candidate, attributes, context.explain(|| marks.told()))
    }
}

export_policy!(Communities);

impl Communities {
    fn marks<'a>(&self, candidate: &Candidate<'a>) -> Marks<'a> {
        let rules = self.0.rules.iter();
        let mut marks = Marks {
            added: rules
                .filter(|rule| rule.selector.selects(candidate))
                .flat_map(|rule| &rule.add)
                .copied()
                .collect(),
            ignored: Vec::new(),
        };
        let Some(annotation) = &self.0.annotation else {
            return marks;
        };
        let asked = candidate
            .service()
            .and_then(|service| service.annotation(&annotation.key))
            .unwrap_or_default();
        for item in asked.split(',').map(str::trim) {
            match item.parse() {
                Ok(community) if annotation.allow.contains(&community) => {
                    marks.added.insert(community);
                }
                Ok(_) | Err(_) if !item.is_empty() => marks.ignored.push(item),
                Ok(_) | Err(_) => {}
            }
        }
        marks
    }
}

impl Marks<'_> {
    fn told(&self) -> String {
        let added: Vec<_> = self.added.iter().map(ToString::to_string).collect();
        let adds = if added.is_empty() {
            "adds nothing".to_owned()
        } else {
            format!("adds {}", added.join(", "))
        };
        if self.ignored.is_empty() {
            return adds;
        }
        format!(
            "{adds}; ignores `{}` of the annotation, which is not allowed",
            self.ignored.join("`, `")
        )
    }
}

#[cfg(test)]
mod tests;
