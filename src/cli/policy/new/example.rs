//! The examples that [`new`](super) writes: one that decides on announced routes, and one on learned
//! ones. Each is the same rule in all languages, and so are its cases.

use super::kit::World;

/// Texts to be filled in, by their paths in the policy's directory.
pub(super) type Templates = [(&'static str, &'static str)];

/// What is in a policy's directory because of what it decides on.
#[derive(Debug)]
pub(super) struct Example {
    /// What it exports.
    pub(super) world: World,
    /// What it does, and how it is configured: for its README.
    pub(super) about: &'static str,
    pub(super) configuration: &'static str,
    pub(super) cases: &'static str,
    pub(super) snapshot: &'static str,
    /// Its sources in each language.
    pub(super) rust: &'static Templates,
    pub(super) c: &'static Templates,
    pub(super) js: &'static Templates,
}

impl Example {
    /// Rejects the Services without a label.
    pub(super) const ANNOUNCED: Self = Self {
        world: World::Policy,
        about: include_str!("announced/about.md"),
        configuration: include_str!("announced/configuration.md"),
        cases: include_str!("announced/cases.toml"),
        snapshot: include_str!("announced/cases.snap"),
        rust: &[("src/lib.rs", include_str!("announced/lib.rs"))],
        c: &[
            ("policy.c", include_str!("announced/policy.c")),
            (
                "test/policy_test.c",
                include_str!("announced/policy_test.c"),
            ),
        ],
        js: &[
            ("src/policy.js", include_str!("announced/policy.js")),
            (
                "test/policy.test.js",
                include_str!("announced/policy.test.js"),
            ),
        ],
    };

    /// Takes what lies inside known prefixes.
    pub(super) const LEARNED: Self = Self {
        world: World::ImportPolicy,
        about: include_str!("learned/about.md"),
        configuration: include_str!("learned/configuration.md"),
        cases: include_str!("learned/cases.toml"),
        snapshot: include_str!("learned/cases.snap"),
        rust: &[("src/lib.rs", include_str!("learned/lib.rs"))],
        c: &[
            ("policy.c", include_str!("learned/policy.c")),
            ("test/policy_test.c", include_str!("learned/policy_test.c")),
        ],
        js: &[
            ("src/policy.js", include_str!("learned/policy.js")),
            ("src/prefix.js", include_str!("learned/prefix.js")),
            (
                "test/policy.test.js",
                include_str!("learned/policy.test.js"),
            ),
        ],
    };
}
