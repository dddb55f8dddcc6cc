//! Policy modules that misbehave, assembled from text: no toolchain needed. Each loads without
//! complaint, calls itself `hostile`, takes any settings, and fails when it is asked to decide.
//!
//! Included by the tests of the host (`src/wasm/tests.rs`) and by those that run the agent.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Decides forever.
pub(crate) fn endless_loop() -> Vec<u8> {
    Recipe {
        evaluate: "(loop $again (br $again)) (unreachable)",
        ..Recipe::default()
    }
    .build()
}

/// Takes memory until it is refused more, then gives up as a language's allocator does.
pub(crate) fn allocates_without_end() -> Vec<u8> {
    Recipe {
        evaluate: "
            (loop $again
                (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
            (unreachable)",
        ..Recipe::default()
    }
    .build()
}

/// Executes `unreachable`, as a panic in Rust does.
pub(crate) fn traps() -> Vec<u8> {
    Recipe {
        evaluate: "(unreachable)",
        ..Recipe::default()
    }
    .build()
}

/// Answers with no decision, whatever it is asked.
pub(crate) fn too_few_decisions() -> Vec<u8> {
    Recipe {
        // Memory is zero: the case `ok` and three empty lists.
        evaluate: "(i32.const 1024)",
        ..Recipe::default()
    }
    .build()
}

/// A module in WebAssembly's text format with its component type.
///
/// Its memory below 65536 is zero but for a few strings from 2048 on; `cabi_realloc` gives out
/// what is above.
pub(crate) struct Recipe<'a> {
    /// The contract's version that it claims to be of.
    pub(crate) version: &'a str,
    /// WIT: what its world has besides the contract's exports.
    pub(crate) world: &'a str,
    /// WIT: further packages that the world refers to.
    pub(crate) packages: &'a str,
    /// How it wants strings.
    pub(crate) strings: StringEncoding,
    /// Further imports, first in the module.
    pub(crate) imports: &'a str,
    /// Further fields of the module.
    pub(crate) fields: &'a str,
    /// The body of `evaluate`: from the address of the batch to that of the answer.
    pub(crate) evaluate: &'a str,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Self {
            version: "0.2.0",
            world: "",
            packages: "",
            strings: StringEncoding::UTF8,
            imports: "",
            fields: "",
            evaluate: "(unreachable)",
        }
    }
}

impl Recipe<'_> {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", &self.contract()).unwrap();
        let world = resolve.select_world(&[package], Some("policy")).unwrap();
        embed_component_metadata(&mut module, &resolve, world, self.strings, false).unwrap();
        module
    }

    fn contract(&self) -> String {
        let (number, [types, policy]) = if self.version.starts_with("0.1.") {
            let types = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/0.1/types.wit"));
            let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/0.1/policy.wit"));
            ("0.1.0", [types, policy])
        } else {
            let types = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/types.wit"));
            let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/policy.wit"));
            ("0.2.0", [types, policy])
        };
        let policy = policy
            .replace(&format!("package rutter:policy@{number};"), "")
            .replace("world policy {", &format!("world policy {{ {}", self.world));
        format!("{types}{policy}{}", self.packages).replace(number, self.version)
    }

    fn text(&self) -> String {
        let Self {
            version,
            imports,
            fields,
            evaluate,
            ..
        } = self;
        format!(
            r#"(module
            {imports}
            (memory (export "memory") 1)
            (data (i32.const 2048) "hostile1.0.0Misbehaves.")
            ;; name, version and summary as address and length; no schema.
            (data (i32.const 2176) "\00\08\00\00\07\00\00\00\07\08\00\00\05\00\00\00\0c\08\00\00\0b\00\00\00")
            (global $free (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at
                    (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get $size)))
                (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
                    (then (if (i32.eq (i32.const -1)
                            (memory.grow (i32.add (i32.const 1)
                                (i32.shr_u (local.get $size) (i32.const 16)))))
                        (then (unreachable)))))
                (local.get $at))
            (func (export "rutter:policy/module@{version}#describe") (result i32)
                (i32.const 2176))
            (func (export "rutter:policy/module@{version}#validate-settings")
                (param i32 i32) (result i32)
                (i32.const 1024))
            (func (export "rutter:policy/announce@{version}#evaluate") (param i32) (result i32)
                {evaluate})
            {fields})"#
        )
    }
}
