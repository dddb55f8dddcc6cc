//! The contract in `wit/` as Rust types, generated. Policies use the names that the crate's root
//! re-exports; the macros [`export_policy!`](crate::export_policy),
//! [`export_import_policy!`](crate::export_import_policy) and
//! [`export_two_way_policy!`](crate::export_two_way_policy) use the rest.
//!
//! Each interface is a world of its own here, because a module exports those it implements, and
//! a generated macro exports all of its world.

#![expect(missing_docs, reason = "generated: the documentation is in wit/")]

pub use announcing::exports::rutter::policy::announce;
pub use announcing::rutter::policy::types;
pub use describing::exports::rutter::policy::module;
pub use learning::exports::rutter::policy::learn;
pub use logging::rutter::policy::log;

pub mod describing {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rutter:sdk; world describing { export rutter:policy/module@1.0.0; }",
        world: "rutter:sdk/describing",
        pub_export_macro: true,
        export_macro_name: "export_module",
        default_bindings_module: "rutter_policy::bindings::describing",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
    });
}

pub mod logging {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rutter:sdk; world logging { import rutter:policy/log@1.0.0; }",
        world: "rutter:sdk/logging",
        generate_all,
    });
}

pub mod announcing {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rutter:sdk; world announcing { export rutter:policy/announce@1.0.0; }",
        world: "rutter:sdk/announcing",
        pub_export_macro: true,
        export_macro_name: "export_announce",
        default_bindings_module: "rutter_policy::bindings::announcing",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        generate_all,
    });
}

pub mod learning {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package rutter:sdk; world learning { export rutter:policy/learn@1.0.0; }",
        world: "rutter:sdk/learning",
        pub_export_macro: true,
        export_macro_name: "export_learn",
        default_bindings_module: "rutter_policy::bindings::learning",
        additional_derives: [PartialEq, Eq, PartialOrd, Ord],
        with: { "rutter:policy/types@1.0.0": crate::bindings::types },
    });
}
