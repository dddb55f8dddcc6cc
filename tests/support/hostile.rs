//! Policy modules that misbehave, assembled from text: no toolchain needed. Each calls itself
//! `hostile` and takes any settings; most load without complaint and fail when they are asked to
//! decide.
//!
//! Included by the tests of the host (`src/wasm/tests.rs`) and by those that run the agent.

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SizeAlign, TypeDefKind};

/// Takes so many pages of 64 KiB, by which it may be seen from outside that it runs, and decides
/// forever.
pub(crate) fn endless_loop(pages: usize) -> Vec<u8> {
    evaluates(&format!(
        "(local $new i32)
        (local.set $new (i32.mul (memory.size) (i32.const 65536)))
        (drop (memory.grow (i32.const {pages})))
        (memory.fill (local.get $new) (i32.const 1) (i32.mul (i32.const {pages}) (i32.const 65536)))
        (loop $again (br $again))
        (unreachable)"
    ))
}

/// Calls itself until there is no stack left.
pub(crate) fn recursion() -> Vec<u8> {
    Recipe {
        fields: "(func $deeper (call $deeper) (call $deeper))",
        evaluate: "(call $deeper) (unreachable)",
        ..Recipe::default()
    }
    .build()
}

/// Takes memory and writes to it until it is refused more, then gives up as a language's allocator
/// does.
pub(crate) fn allocates_without_end() -> Vec<u8> {
    evaluates(
        "(local $new i32)
        (loop $again
            (local.set $new (memory.grow (i32.const 16)))
            (if (i32.eq (local.get $new) (i32.const -1)) (then (unreachable)))
            (memory.fill (i32.mul (local.get $new) (i32.const 65536))
                (i32.const 1) (i32.const 1048576))
            (br $again))
        (unreachable)",
    )
}

/// Takes so many pages of 64 KiB in all, writes to them, and abstains from everything; traps where
/// it does not get them.
pub(crate) fn takes_memory(pages: usize) -> Vec<u8> {
    evaluates(&format!(
        "(local $new i32)
        (local.set $new (i32.mul (memory.size) (i32.const 65536)))
        (if (i32.eq (i32.const -1)
                (memory.grow (i32.sub (i32.const {pages}) (memory.size))))
            (then (unreachable)))
        ;; As many zeros, which are abstentions, as there are candidates, and more.
        (memory.fill (local.get $new) (i32.const 0)
            (i32.sub (i32.mul (memory.size) (i32.const 65536)) (local.get $new)))
        (i32.store (i32.const 1028) (local.get $new))
        (i32.store (i32.const 1032) {CANDIDATES})
        (i32.const 1024)"
    ))
}

/// Executes `unreachable`, as a panic in Rust does.
pub(crate) fn traps() -> Vec<u8> {
    evaluates("(unreachable)")
}

/// Answers with no decision, whatever it is asked.
pub(crate) fn too_few_decisions() -> Vec<u8> {
    // Memory is zero: the case `ok` and three empty lists.
    evaluates("(i32.const 1024)")
}

/// Answers with one decision more than it was asked for.
pub(crate) fn too_many_decisions() -> Vec<u8> {
    evaluates(&format!(
        "(i32.store (i32.const 1028) (i32.const 8192))
        (i32.store (i32.const 1032) (i32.add (i32.const 1) {CANDIDATES}))
        (i32.const 1024)"
    ))
}

/// Accepts the first route with attribute set 7, and gives no sets.
pub(crate) fn index_of_nothing() -> Vec<u8> {
    evaluates(&format!(
        "(i32.store (i32.const 8192) (i32.const 1))
        (i32.store (i32.const 8196) (i32.const 1))
        (i32.store (i32.const 8200) (i32.const 7))
        (i32.store (i32.const 1028) (i32.const 8192))
        (i32.store (i32.const 1032) {CANDIDATES})
        (i32.const 1024)"
    ))
}

/// Answers with a list that is not in its memory.
pub(crate) fn list_outside_of_memory() -> Vec<u8> {
    answers(&[0, 0xFFFF_0000, 60_000, 0, 0, 0, 0], &[])
}

/// Answers with 60,000 reasons, all of them the same 2 MB of memory: 120 GB if it were believed.
pub(crate) fn huge_answer() -> Vec<u8> {
    Recipe {
        fields: &data(1024, &[0, 0, 0, 0, 0, 65_536, 60_000]),
        evaluate: "
            (local $entry i32)
            (drop (memory.grow (i32.const 50)))
            (local.set $entry (i32.const 65536))
            (loop $next
                (i32.store (local.get $entry) (i32.const 600000))
                (i32.store offset=4 (local.get $entry) (i32.const 2000000))
                (local.set $entry (i32.add (local.get $entry) (i32.const 8)))
                (br_if $next (i32.lt_u (local.get $entry) (i32.const 545536))))
            (i32.const 1024)",
        ..Recipe::default()
    }
    .build()
}

/// Abstains from everything, with four octets for a reason that are not UTF-8.
pub(crate) fn text_that_is_not_utf8() -> Vec<u8> {
    Recipe {
        fields: &data(3092, &[3100, 4, 0xFFFF_FFFF]),
        evaluate: &format!(
            "(i32.store (i32.const 1028) (i32.const 8192))
            (i32.store (i32.const 1032) {CANDIDATES})
            (i32.store (i32.const 1044) (i32.const 3092))
            (i32.store (i32.const 1048) (i32.const 1))
            (i32.const 1024)"
        ),
        ..Recipe::default()
    }
    .build()
}

/// Accepts every other route, counted from the first of the batch.
pub(crate) fn contradicts_itself() -> Vec<u8> {
    evaluates(&format!(
        "(local $left i32) (local $decision i32)
        (local.set $left {CANDIDATES})
        (local.set $decision (i32.const 8192))
        (loop $next
            ;; 1 is `accept`, 2 `reject`.
            (i32.store (local.get $decision)
                (i32.add (i32.const 1) (i32.and (local.get $left) (i32.const 1))))
            (local.set $decision (i32.add (local.get $decision) (i32.const 20)))
            (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.store (i32.const 1028) (i32.const 8192))
        (i32.store (i32.const 1032) {CANDIDATES})
        (i32.const 1024)"
    ))
}

/// Accepts everything, but traps where these eight octets are in what it is asked, for instance in
/// the annotation of a Service.
pub(crate) fn traps_on(mark: &[u8; 8]) -> Vec<u8> {
    let mark = i64::from_le_bytes(*mark);
    evaluates(&format!(
        "(local $at i32) (local $left i32) (local $decision i32)
        ;; What it is asked lies where `cabi_realloc` put it.
        (local.set $at (i32.const 65536))
        (loop $next
            (if (i64.eq (i64.load (local.get $at)) (i64.const {mark})) (then (unreachable)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $next (i32.lt_u
                (i32.add (local.get $at) (i32.const 8)) (global.get $free))))
        (local.set $left {CANDIDATES})
        (local.set $decision (i32.const 8192))
        (loop $accept
            (i32.store (local.get $decision) (i32.const 1))
            (local.set $decision (i32.add (local.get $decision) (i32.const 20)))
            (br_if $accept (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (i32.store (i32.const 1028) (i32.const 8192))
        (i32.store (i32.const 1032) {CANDIDATES})
        (i32.const 1024)"
    ))
}

/// Imports a function of WASI 0.1, as a program for `wasm32-wasi` does.
pub(crate) fn imports_wasi() -> Vec<u8> {
    Recipe {
        imports: r#"(import "wasi_snapshot_preview1" "fd_write"
            (func (param i32 i32 i32 i32) (result i32)))"#,
        ..Recipe::default()
    }
    .build()
}

/// Is of a version of the contract that does not exist yet.
pub(crate) fn later_version() -> Vec<u8> {
    Recipe {
        version: "2.0.0",
        ..Recipe::default()
    }
    .build()
}

/// Has so many functions that it would take minutes to compile.
pub(crate) fn thousands_of_functions() -> Vec<u8> {
    Recipe {
        fields: &"(func)".repeat(70_000),
        ..Recipe::default()
    }
    .build()
}

/// The same module with a section added that nobody reads, so that it has exactly so many octets.
pub(crate) fn padded(mut module: Vec<u8>, octets: usize) -> Vec<u8> {
    // Id 0, its length in five octets of LEB128, and an empty name.
    let length = octets - module.len() - 6;
    module.push(0);
    module.extend((0..5).map(|group| {
        let more = if group < 4 { 0x80 } else { 0 };
        (length >> (7 * group) & 0x7f) as u8 | more
    }));
    module.resize(octets, 0);
    module
}

/// WAT: how many candidates a batch has.
const CANDIDATES: &str = "(i32.load offset=$CANDIDATES (local.get 0))";

fn evaluates(evaluate: &str) -> Vec<u8> {
    Recipe {
        evaluate,
        ..Recipe::default()
    }
    .build()
}

/// A module whose answer is this: the words of `evaluate`'s result at 1024, and of what that
/// points at, at 3072. `validate-settings` answers with the first word too, which must be 0: `ok`.
pub(crate) fn answers(result: &[u32], pointed_at: &[u32]) -> Vec<u8> {
    Recipe {
        fields: &format!("{}{}", data(1024, result), data(3072, pointed_at)),
        evaluate: "(i32.const 1024)",
        ..Recipe::default()
    }
    .build()
}

/// Little-endian words as a data segment of the text format.
fn data(address: u32, words: &[u32]) -> String {
    let octets: String = words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .map(|octet| format!("\\{octet:02x}"))
        .collect();
    format!("(data (i32.const {address}) \"{octets}\")")
}

/// A module in WebAssembly's text format with its component type.
///
/// Its memory below 65536 is zero but for a few strings from 2048 on; `cabi_realloc` gives out
/// what is above. A decision has 20 octets, so that there is room for some 2,800 from 8192 on.
pub(crate) struct Recipe<'a> {
    /// What it decides about.
    pub(crate) way: Way,
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
    /// The same for routes of the other way, where it decides about both.
    pub(crate) other_way: Option<&'a str>,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Self {
            way: Way::Announce,
            version: "1.0.0",
            world: "",
            packages: "",
            strings: StringEncoding::UTF8,
            imports: "",
            fields: "",
            evaluate: "(unreachable)",
            other_way: None,
        }
    }
}

impl Recipe<'_> {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("policy.wit", &self.contract()).unwrap();
        let mut module = wat::parse_str(self.text(&resolve)).unwrap();
        let world = match self.other_way {
            None => self.way.world(),
            Some(_) => "two-way-policy",
        };
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, self.strings, false).unwrap();
        module
    }

    fn contract(&self) -> String {
        let number = "1.0.0";
        let types = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/types.wit"));
        let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/policy.wit"));
        let policy = policy
            .replace(&format!("package rutter:policy@{number};"), "")
            .replace("world policy {", &format!("world policy {{ {}", self.world));
        format!("{types}{policy}{}", self.packages).replace(number, self.version)
    }

    fn text(&self, resolve: &Resolve) -> String {
        let Self {
            way,
            version,
            imports,
            fields,
            evaluate,
            other_way,
            ..
        } = self;
        let evaluates = |way: Way, body: &str| {
            let interface = way.interface();
            let candidates = candidates_at(resolve, way).to_string();
            let body = body.replace("$CANDIDATES", &candidates);
            format!(
                r#"(func (export "rutter:policy/{interface}@{version}#evaluate")
                    (param i32) (result i32)
                    {body})"#
            )
        };
        let evaluate = evaluates(*way, evaluate);
        let other_way = other_way.map_or_else(String::new, |body| evaluates(way.other(), body));
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
            {evaluate}
            {other_way}
            {fields})"#
        )
    }
}

/// Which routes a module decides about.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// Those to peers.
    Announce,
    /// Those from peers.
    Learn,
}

impl Way {
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Learn => "learn",
        }
    }

    fn world(self) -> &'static str {
        match self {
            Self::Announce => "policy",
            Self::Learn => "import-policy",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Announce => Self::Learn,
            Self::Learn => Self::Announce,
        }
    }

    /// What a batch is about.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Announce => "candidates",
            Self::Learn => "routes",
        }
    }
}

/// Where, in a batch, the number of its candidates is.
fn candidates_at(resolve: &Resolve, way: Way) -> usize {
    let mut sizes = SizeAlign::default();
    sizes.fill(resolve).unwrap();
    let mut interfaces = resolve.interfaces.iter();
    let (_, interface) = interfaces
        .find(|(_, interface)| interface.name.as_deref() == Some(way.interface()))
        .unwrap();
    let TypeDefKind::Record(batch) = &resolve.types[interface.types["batch"]].kind else {
        panic!("a batch is a record");
    };
    let offsets = sizes.field_offsets(batch.fields.iter().map(|field| &field.ty));
    let mut fields = batch.fields.iter().zip(offsets);
    let (_, (list, _)) = fields.find(|(field, _)| field.name == way.list()).unwrap();
    // A list is an address and a length.
    list.size_wasm32() + 4
}
