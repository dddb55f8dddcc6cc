//! A source file as the rules see it: every path it names outside what only tests compile.
//!
//! `syn` says where items begin and end; the paths are read off the tokens, so that those inside
//! macros count as well. Comments, strings and the text of attributes name nothing.

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Ident, LineColumn, Span, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, Token};

/// A path as it is used, such as `crate::types::Asn`, `std::fs::read` or `println!`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) line: usize,
    /// `super::` and `self::` are resolved as far as the file's place tells.
    pub(super) path: Vec<String>,
}

/// What a file has to do with the rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) mentions: Vec<Mention>,
    /// Files and folders, relative to `src`, of modules that only tests compile.
    pub(super) test_modules: Vec<PathBuf>,
}

impl Source {
    /// Reads a file of this path relative to `src`.
    pub(super) fn parse(path: &Path, text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        if file.attrs.iter().any(is_for_tests) {
            return Ok(Self::default());
        }
        let mut items = TestItems {
            folder: folder_of(path),
            ..TestItems::default()
        };
        items.visit_file(&file);
        let mut reader = Reader {
            tests: items.spans,
            mentions: Vec::new(),
        };
        let module = folder_of(path);
        let names = module.iter().map(|name| name.to_string_lossy().into());
        reader.read(text.parse::<TokenStream>()?, &names.collect::<Vec<_>>());
        Ok(Self {
            mentions: reader.mentions,
            test_modules: items.modules,
        })
    }
}

/// Where the files of a file's modules are: `bgp/peer` for `bgp/peer.rs`, `bgp` for `bgp/mod.rs`.
fn folder_of(path: &Path) -> PathBuf {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") => path.with_file_name(""),
        Some(_) | None => path.with_extension(""),
    }
}

/// Whether the attribute leaves its item out unless tests are compiled.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<Meta>()
            .is_ok_and(|condition| needs_tests(&condition))
}

/// Whether a condition of `cfg` holds in tests only.
fn needs_tests(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let parts = parts.unwrap_or_default();
            if list.path.is_ident("all") {
                parts.iter().any(needs_tests)
            } else {
                list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_tests)
            }
        }
        Meta::NameValue(_) => false,
    }
}

/// Finds what an attribute takes out: the attribute and the one thing that carries it.
#[derive(Default)]
struct TestItems {
    /// Where the modules' files are of the module being visited.
    folder: PathBuf,
    spans: Vec<(LineColumn, LineColumn)>,
    modules: Vec<PathBuf>,
}

impl TestItems {
    /// Notes the thing if it is for tests; whether it is.
    fn take(&mut self, attributes: &[Attribute], thing: &impl Spanned) -> bool {
        let is_taken = attributes.iter().any(is_for_tests);
        if is_taken {
            let first = attributes.first().map_or(thing.span(), Spanned::span);
            let start = first.start().min(thing.span().start());
            self.spans.push((start, thing.span().end()));
        }
        is_taken
    }
}

/// One method each for what can carry attributes.
macro_rules! take_what_is_for_tests {
    ($($method:ident $kind:ident)*) => {$(
        fn $method(&mut self, thing: &'ast syn::$kind) {
            if !self.take(&thing.attrs, thing) {
                visit::$method(self, thing);
            }
        }
    )*};
}

impl<'ast> Visit<'ast> for TestItems {
    take_what_is_for_tests! {
        visit_item_const ItemConst
        visit_item_enum ItemEnum
        visit_item_extern_crate ItemExternCrate
        visit_item_fn ItemFn
        visit_item_foreign_mod ItemForeignMod
        visit_item_impl ItemImpl
        visit_item_macro ItemMacro
        visit_item_static ItemStatic
        visit_item_struct ItemStruct
        visit_item_trait ItemTrait
        visit_item_trait_alias ItemTraitAlias
        visit_item_type ItemType
        visit_item_union ItemUnion
        visit_item_use ItemUse
        visit_impl_item_const ImplItemConst
        visit_impl_item_fn ImplItemFn
        visit_impl_item_macro ImplItemMacro
        visit_impl_item_type ImplItemType
        visit_trait_item_const TraitItemConst
        visit_trait_item_fn TraitItemFn
        visit_trait_item_macro TraitItemMacro
        visit_trait_item_type TraitItemType
        visit_arm Arm
        visit_expr_block ExprBlock
        visit_field Field
        visit_field_pat FieldPat
        visit_field_value FieldValue
        visit_local Local
        visit_stmt_macro StmtMacro
        visit_variant Variant
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let place = self.folder.join(module.ident.to_string());
        if self.take(&module.attrs, module) {
            self.modules.push(place);
            return;
        }
        let outside = std::mem::replace(&mut self.folder, place);
        visit::visit_item_mod(self, module);
        self.folder = outside;
    }
}

struct Reader {
    tests: Vec<(LineColumn, LineColumn)>,
    mentions: Vec<Mention>,
}

impl Reader {
    /// Reads what is written in a module, given by its path from the crate's root.
    fn read(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        while let Some((token, behind)) = rest.split_first() {
            rest = match (token, behind) {
                // An attribute: `#[doc = "..."]` and the like.
                (TokenTree::Punct(hash), [TokenTree::Group(_), ..]) if hash.as_char() == '#' => {
                    &behind[1..]
                }
                (
                    TokenTree::Ident(keyword),
                    [TokenTree::Ident(name), TokenTree::Group(body), ..],
                ) if keyword == "mod" => {
                    let inner = [module, &[name.to_string()]].concat();
                    self.read(body.stream(), &inner);
                    &behind[2..]
                }
                // `use ::kube`: the keyword is no part of the path.
                (TokenTree::Ident(word), [TokenTree::Punct(_), TokenTree::Punct(_), ..])
                    if !begins_a_path(word) =>
                {
                    behind
                }
                (TokenTree::Ident(_), _) => self.path(rest, module, &[]),
                (TokenTree::Group(group), _) => {
                    self.read(group.stream(), module);
                    behind
                }
                (TokenTree::Punct(_) | TokenTree::Literal(_), _) => behind,
            };
        }
    }

    /// Reads the path that the tokens begin with, all of its branches; returns what follows it.
    fn path<'a>(
        &mut self,
        mut tokens: &'a [TokenTree],
        module: &[String],
        stem: &[String],
    ) -> &'a [TokenTree] {
        let mut path = stem.to_vec();
        let start = tokens[0].span();
        loop {
            match tokens {
                [TokenTree::Ident(name), behind @ ..] => {
                    path.push(name.to_string());
                    tokens = behind;
                }
                [TokenTree::Group(list), behind @ ..]
                    if list.delimiter() == Delimiter::Brace && !path.is_empty() =>
                {
                    let branches: Vec<_> = list.stream().into_iter().collect();
                    for branch in branches.split(is_comma).filter(|branch| !branch.is_empty()) {
                        // What is behind it is at most `as` and a name.
                        self.path(branch, module, &path);
                    }
                    return behind;
                }
                // `*`, or the `<` of what a path is given.
                _ => break,
            }
            match tokens {
                [TokenTree::Punct(one), TokenTree::Punct(two), behind @ ..]
                    if one.as_char() == ':' && two.as_char() == ':' =>
                {
                    tokens = behind;
                }
                [TokenTree::Punct(bang), TokenTree::Group(_), ..] if bang.as_char() == '!' => {
                    if let Some(name) = path.last_mut() {
                        name.push('!');
                    }
                    break;
                }
                _ => break,
            }
        }
        self.mention(start, module, path);
        tokens
    }

    fn mention(&mut self, span: Span, module: &[String], path: Vec<String>) {
        let at = span.start();
        let for_tests = |(start, end): &(LineColumn, LineColumn)| *start <= at && at < *end;
        if self.tests.iter().any(for_tests) {
            return;
        }
        self.mentions.push(Mention {
            line: at.line,
            path: resolved(module, path),
        });
    }
}

fn begins_a_path(word: &Ident) -> bool {
    let name = word.to_string();
    ["crate", "self", "super", "Self"].contains(&name.as_str())
        || syn::parse_str::<Ident>(&name).is_ok()
}

fn is_comma(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')
}

/// `super::wire` in `bgp::peer` is `crate::bgp::wire`, as is `super::wire::{self}`.
fn resolved(module: &[String], mut path: Vec<String>) -> Vec<String> {
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let ups = path.iter().take_while(|name| *name == "super").count();
    if ups == 0 || ups > module.len() {
        return path;
    }
    let mut whole = vec!["crate".to_owned()];
    whole.extend_from_slice(&module[..module.len() - ups]);
    whole.extend(path.drain(ups..));
    whole
}

/// What a file of `src/bgp/peer.rs` mentions, joined.
fn mentions(text: &str) -> Vec<String> {
    let source = Source::parse(Path::new("bgp/peer.rs"), text).unwrap();
    let mentions = source.mentions.iter();
    mentions.map(|mention| mention.path.join("::")).collect()
}

/// What it mentions of `crate`.
fn own(text: &str) -> Vec<String> {
    let mut paths = mentions(text);
    paths.retain(|path| path.starts_with("crate::"));
    paths
}

#[test]
fn an_item_for_tests_ends_where_it_ends() {
    let items = [
        "mod tests { use crate::a; fn f() { let brace = \"}\"; let c = '}'; } }",
        "mod tests;",
        "use crate::a;",
        "use crate::{a, b::{c, d}};",
        "const A: B = B { c: crate::a::C };",
        "static A: &[u8] = br##\"}\"#;\"##;",
        "fn f<'a>(x: [u8; { crate::a::N }]) -> &'a str where T: U { \"/*\" }",
        "impl A<{ crate::a::N }> for B { fn c() {} }",
        "struct A { b: crate::a::B }",
        "struct A(crate::a::B);",
        "enum A { B(crate::a::B) }",
        "type A = crate::a::B;",
        "trait A: crate::a::B { const C: usize; }",
        "macro_rules! a { ($b:tt) => { crate::a::$b }; }",
        "thread_local! { static A: crate::a::B = crate::a::C; }",
        "extern crate alloc as b;",
        "/// Doc.\n#[derive(Debug)]\npub(crate) struct A;",
    ];
    for item in items {
        let text = format!("#[cfg(test)]\n{item}\n/* }} */ use crate::found;");
        assert_eq!(own(&text), ["crate::found"], "{item}");
        let text = format!("/// Doc.\n#[cfg(test)]\n{item}\nuse crate::found;");
        assert_eq!(own(&text), ["crate::found"], "{item}");
        let text = format!("mod inner {{ #[cfg(test)] {item} }} use crate::found;");
        assert_eq!(own(&text), ["crate::found"], "{item}");
    }
}

#[test]
fn what_is_smaller_than_an_item_can_be_for_tests() {
    let text = "
        struct A { #[cfg(test)] b: crate::no::B, c: crate::yes::C }
        enum D { #[cfg(test)] E(crate::no::E), F(crate::yes::F) }
        impl G {
            #[cfg(test)]
            fn h() { crate::no::h() }
            fn i() { #[cfg(test)] let j = crate::no::j(); crate::yes::i() }
        }
        fn k(l: M) {
            match l { #[cfg(test)] M::N => crate::no::n(), M::O => crate::yes::o() }
            A { #[cfg(test)] b: crate::no::b(), c: crate::yes::c() };
            #[cfg(test)] { crate::no::p() }
            #[cfg(test)] crate::no::q!();
        }";
    let wanted = ["C", "F", "i", "o", "c"].map(|name| format!("crate::yes::{name}"));
    assert_eq!(own(text), wanted);
}

#[test]
fn only_what_needs_tests_is_left_out() {
    for left_out in [
        "test",
        "all(test, unix)",
        "any(test)",
        "all(any(test, test))",
    ] {
        let text = format!("#[cfg({left_out})] use crate::a;");
        assert_eq!(own(&text), [""; 0], "{left_out}");
        let text = format!("#![cfg({left_out})] use crate::a;");
        assert_eq!(own(&text), [""; 0], "{left_out}");
    }
    for kept in [
        "not(test)",
        "any(test, unix)",
        "feature = \"test\"",
        "any()",
    ] {
        let text = format!("#[cfg({kept})] use crate::a;");
        assert_eq!(own(&text), ["crate::a"], "{kept}");
    }
    assert_eq!(
        own("#[cfg_attr(test, derive(A))] use crate::a;"),
        ["crate::a"]
    );
    assert_eq!(
        own("const A: &str = \"#[cfg(test)]\"; use crate::a;"),
        ["crate::a"]
    );
    assert_eq!(own("// #[cfg(test)]\nuse crate::a;"), ["crate::a"]);
}

#[test]
fn paths_are_opened_joined_and_resolved() {
    assert_eq!(
        own("use crate::{a, b::{self, c::*, d as e}};\nuse crate::{\n    f,\n};"),
        [
            "crate::a",
            "crate::b",
            "crate::b::c",
            "crate::b::d",
            "crate::f"
        ]
    );
    assert_eq!(
        own("use super::{wire, super::rib};"),
        ["crate::bgp::wire", "crate::rib"]
    );
    assert_eq!(own("use super::super::rib;"), ["crate::rib"]);
    assert_eq!(
        own("mod a { use super::super::wire; }"),
        ["crate::bgp::wire"]
    );
    assert_eq!(own("macro_rules! a { () => { $crate::b }; }"), ["crate::b"]);
    assert_eq!(
        own("fn a() -> Vec<crate::b::C> { d!(crate::e, [crate::f]) }").len(),
        3
    );
    assert!(mentions("fn a() { println!(\"\") }").contains(&"println!".to_owned()));
    assert!(mentions("use std::{env, fs};").contains(&"std::fs".to_owned()));
    assert!(mentions("use ::kube::Client;").contains(&"kube::Client".to_owned()));
    let silent = "/// crate::a\n#[doc = \"crate::b\"]\nconst A: &str = \"crate::c\"; // crate::d";
    assert_eq!(own(silent), [""; 0]);
}

#[test]
fn modules_for_tests_are_told_by_where_their_files_are() {
    let text = "#[cfg(test)] mod tests; mod real; mod inner { #[cfg(test)] mod deep; }";
    let modules = |path: &str| Source::parse(Path::new(path), text).unwrap().test_modules;
    assert_eq!(
        modules("bgp/peer.rs"),
        ["bgp/peer/tests", "bgp/peer/inner/deep"].map(PathBuf::from)
    );
    assert_eq!(
        modules("lib.rs"),
        ["tests", "inner/deep"].map(PathBuf::from)
    );
}

#[test]
fn lines_are_those_of_the_file() {
    let text = "//! Doc.\n\nuse crate::a;\n#[cfg(test)]\nmod tests {}\nuse crate::b;\n";
    let source = Source::parse(Path::new("bgp.rs"), text).unwrap();
    let crates = source.mentions.iter().filter(|one| one.path[0] == "crate");
    let lines: Vec<_> = crates.map(|mention| mention.line).collect();
    assert_eq!(lines, [3, 6]);
}

#[test]
fn what_is_no_rust_is_an_error() {
    assert!(Source::parse(Path::new("bgp.rs"), "fn {").is_err());
}
