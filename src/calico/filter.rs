//! BGPFilter, as settings of the policy `calico-filter`, which holds routes to its rules.

use serde_json::{Map, Value, json};

use super::fields::{RULE, RuleSupport};
use super::object::{Reader, shown};
use crate::policy::Direction;

/// The rules of a BGPFilter that the policy `calico-filter` can hold routes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    export_v4: Vec<Value>,
    export_v6: Vec<Value>,
    import_v4: Vec<Value>,
    import_v6: Vec<Value>,
}

impl Filter {
    /// Lets nothing through: what stands for rules that could not be read.
    fn closed() -> Self {
        let reject = || vec![json!({ "action": "Reject" })];
        Self {
            export_v4: reject(),
            export_v6: reject(),
            import_v4: reject(),
            import_v6: reject(),
        }
    }

    /// Settings of the policy for one direction; nothing where there is no rule for it.
    #[must_use]
    pub fn settings(&self, direction: Direction) -> Option<Value> {
        let lists = match direction {
            Direction::Export => [("exportV4", &self.export_v4), ("exportV6", &self.export_v6)],
            Direction::Import => [("importV4", &self.import_v4), ("importV6", &self.import_v6)],
        };
        let lists = lists.into_iter().filter(|(_, rules)| !rules.is_empty());
        let lists = lists.map(|(key, rules)| (key.to_owned(), Value::Array(rules.clone())));
        let settings: Map<_, _> = lists.collect();
        (!settings.is_empty()).then_some(Value::Object(settings))
    }

    /// How many rules there are for each list, in the order exportV4, exportV6, importV4, importV6.
    #[must_use]
    pub fn rule_counts(&self) -> [usize; 4] {
        let Self {
            export_v4,
            export_v6,
            import_v4,
            import_v6,
        } = self;
        [export_v4, export_v6, import_v4, import_v6].map(Vec::len)
    }
}

/// The rules of it; all of it closed where they cannot be read, for what they would keep back is
/// not known.
pub(super) fn read(reader: &mut Reader<'_>) -> Filter {
    let is_object = matches!(reader.value(""), Value::Object(_) | Value::Null);
    let mut list = |key, direction| {
        if !is_object {
            return None;
        }
        let rules = reader.list(key).ok()?;
        let mut read = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("{key}[{index}]");
            let Value::Object(fields) = rule else {
                let words = format!("is {}, which is no rule", shown(rule));
                reader.problem(&path, words);
                return None;
            };
            read.extend(self::rule(fields, &path, direction, reader));
        }
        Some(read)
    };
    let lists = (
        list("exportV4", Direction::Export),
        list("exportV6", Direction::Export),
        list("importV4", Direction::Import),
        list("importV6", Direction::Import),
    );
    match lists {
        (Some(export_v4), Some(export_v6), Some(import_v4), Some(import_v6)) => Filter {
            export_v4,
            export_v6,
            import_v4,
            import_v6,
        },
        (Some(_) | None, Some(_) | None, Some(_) | None, Some(_) | None) => {
            reader.problem("", "cannot be read; peers that name it are given no routes");
            Filter::closed()
        }
    }
}

/// What of a rule the policy knows; nothing where the rule cannot be held to.
fn rule(
    fields: &Map<String, Value>,
    path: &str,
    direction: Direction,
    reader: &mut Reader<'_>,
) -> Option<Value> {
    let mut heeded = Map::new();
    let mut is_left_out = false;
    for (key, value) in fields {
        let field = format!("{path}.{key}");
        let row = RULE.iter().find(|(known, _, _)| known == key);
        let support = row.map(|(_, export, import)| match direction {
            Direction::Export => *export,
            Direction::Import => *import,
        });
        // What the API server fills in for what was left out.
        if value.is_null() || *value == json!("") || *value == json!([]) {
            continue;
        }
        // Every route leaves by one that is called something.
        if key == "interface" && *value == json!("*") {
            continue;
        }
        match support {
            Some(RuleSupport::Heeded) if key == "operations" => {
                let operations = operations(value, &field, reader);
                if !operations.is_empty() {
                    heeded.insert(key.clone(), Value::Array(operations));
                }
            }
            Some(RuleSupport::Heeded) => {
                heeded.insert(key.clone(), value.clone());
            }
            Some(RuleSupport::Never(why)) => {
                is_left_out = true;
                reader.problem(&field, format!("makes the rule match nothing: {why}"));
            }
            Some(RuleSupport::Unknown(why)) => {
                is_left_out = true;
                reader.problem(&field, format!("has the rule left out: {why}"));
            }
            None => {
                is_left_out = true;
                reader.problem(&field, "is not known here and has the rule left out");
            }
        }
    }
    (!is_left_out).then_some(Value::Object(heeded))
}

/// Those that change something about routes here.
fn operations(value: &Value, path: &str, reader: &mut Reader<'_>) -> Vec<Value> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut heeded = Vec::new();
    for (index, operation) in all.iter().enumerate() {
        if operation["setPriority"].is_null() {
            heeded.push(operation.clone());
        } else {
            let field = format!("{path}[{index}].setPriority");
            reader.problem(&field, "is not done: routes have no priority here");
        }
    }
    heeded
}
