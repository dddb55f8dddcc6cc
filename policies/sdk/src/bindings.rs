//! The contract in `wit/` as Rust types, generated. Policies use the names that the crate's root
//! re-exports; the macro [`export_policy!`](crate::export_policy) uses the rest.

#![expect(missing_docs, reason = "generated: the documentation is in wit/")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "policy",
    pub_export_macro: true,
    default_bindings_module: "rutter_policy::bindings",
    additional_derives: [PartialEq, Eq, PartialOrd, Ord],
    generate_all,
});
