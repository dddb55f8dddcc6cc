//! `[calico]`: whether what Calico's resources say is done.

use super::raw::{Report, Section};

pub(super) const KEYS: &[&str] = &["resources"];

/// `[calico]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CalicoConfig {
    /// What Calico's resources are to this configuration.
    pub resources: CalicoResources,
}

/// What Calico's resources are to a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CalicoResources {
    /// Nothing: nobody looks at them.
    #[default]
    Ignored,
    /// They are watched, and what they say is not in here yet: with this there are no sessions, for
    /// even our AS may be another.
    Awaited,
    /// What they say is in here.
    Merged,
}

impl CalicoResources {
    /// Whether somebody looks at them.
    #[must_use]
    pub fn is_watched(self) -> bool {
        match self {
            Self::Ignored => false,
            Self::Awaited | Self::Merged => true,
        }
    }
}

pub(super) fn read(top: &Section<'_>, report: &mut Report) -> CalicoConfig {
    let section = Section::of(top.value("calico").as_ref(), KEYS, report);
    let resources = section.value("resources");
    CalicoConfig {
        resources: match resources.and_then(|value| value.boolean(report)) {
            Some(true) => CalicoResources::Awaited,
            Some(false) | None => CalicoResources::Ignored,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn parse(text: &str) -> Config {
        Config::parse("rutter.toml", text, &Overrides::default()).unwrap()
    }

    #[test]
    fn calicos_resources_are_awaited_where_they_are_to_be_watched() {
        let resources = |text| parse(text).calico.resources;
        let with = "[calico]\nresources = true";
        assert_eq!(resources(with), CalicoResources::Awaited);
        let without = "[calico]\nresources = false";
        assert_eq!(resources(without), CalicoResources::Ignored);
        assert_eq!(resources(""), CalicoResources::Ignored);
        let with = parse(with);
        assert_eq!(parse("").restart_needed(&with), ["calico.resources"]);
        // That what they say was taken in is no change of the file.
        let mut merged = with.clone();
        merged.calico.resources = CalicoResources::Merged;
        assert_eq!(merged.restart_needed(&with), [""; 0]);
    }
}
