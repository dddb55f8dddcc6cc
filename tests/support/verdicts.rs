//! Policy modules of one mind, assembled from text: no toolchain needed.

use wit_parser::{Resolve, SizeAlign, TypeDefKind};

use super::hostile::{Recipe, Way};

/// What a module says of every route of a way, without a reason.
#[derive(Clone, Copy)]
pub(crate) enum Mind {
    Abstains,
    Rejects,
}

/// Has no opinion about anything.
pub(crate) fn abstains(way: Way) -> Vec<u8> {
    one_way(way, Mind::Abstains)
}

/// Rejects everything.
pub(crate) fn rejects(way: Way) -> Vec<u8> {
    one_way(way, Mind::Rejects)
}

/// Decides about both, each way as it is told.
pub(crate) fn two_ways(announced: Mind, learned: Mind) -> Vec<u8> {
    Recipe {
        way: Way::Announce,
        evaluate: &evaluate(Way::Announce, announced),
        other_way: Some(&evaluate(Way::Learn, learned)),
        ..Recipe::default()
    }
    .build()
}

/// Decides about both: traps on routes of this way, has no opinion about the others.
pub(crate) fn traps_on(way: Way) -> Vec<u8> {
    Recipe {
        way,
        evaluate: "(unreachable)",
        other_way: Some(&evaluate(way.other(), Mind::Abstains)),
        ..Recipe::default()
    }
    .build()
}

fn one_way(way: Way, mind: Mind) -> Vec<u8> {
    Recipe {
        way,
        evaluate: &evaluate(way, mind),
        ..Recipe::default()
    }
    .build()
}

/// The body of `evaluate` that answers alike for each route.
fn evaluate(way: Way, mind: Mind) -> String {
    let (candidates, decision) = layout(way);
    // The case of `verdict`.
    let verdict = match mind {
        Mind::Abstains => 0,
        Mind::Rejects => 2,
    };
    format!(
        "(local $count i32) (local $first i32) (local $at i32)
        (local.set $count (i32.load (i32.add (local.get 0) (i32.const {length}))))
        ;; Fresh pages are zero: no attributes, no reason.
        (local.set $first (i32.shl
            (memory.grow (i32.add (i32.const 1)
                (i32.shr_u (i32.mul (local.get $count) (i32.const {decision})) (i32.const 16))))
            (i32.const 16)))
        ;; An answer of zeros is the case `ok` and three empty lists; this is the first of them.
        (i32.store (i32.const 1028) (local.get $first))
        (i32.store (i32.const 1032) (local.get $count))
        (local.set $at (local.get $first))
        (block $done (loop $next
            (br_if $done (i32.eqz (local.get $count)))
            (i32.store8 (local.get $at) (i32.const {verdict}))
            (local.set $at (i32.add (local.get $at) (i32.const {decision})))
            (local.set $count (i32.sub (local.get $count) (i32.const 1)))
            (br $next)))
        (i32.const 1024)",
        length = candidates + 4,
    )
}

/// Where a batch has its list of routes, and the size of a decision; in bytes.
fn layout(way: Way) -> (usize, usize) {
    let mut resolve = Resolve::default();
    let types = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/types.wit"));
    let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/policy.wit"));
    let policy = policy.replace("package rutter:policy@1.0.0;", "");
    let contract = format!("{types}{policy}");
    resolve.push_str("policy.wit", &contract).unwrap();
    let mut sizes = SizeAlign::default();
    sizes.fill(&resolve).unwrap();
    let mut interfaces = resolve.interfaces.iter();
    let (_, interface) = interfaces
        .find(|(_, interface)| interface.name.as_deref() == Some(way.interface()))
        .unwrap();
    let record = |name: &str| {
        let TypeDefKind::Record(record) = &resolve.types[interface.types[name]].kind else {
            panic!("{name} is no record");
        };
        record.fields.iter()
    };
    let batch = sizes.field_offsets(record("batch").map(|field| &field.ty));
    let candidates = record("batch")
        .position(|field| field.name == way.list())
        .unwrap();
    let decision = sizes.record(record("decision").map(|field| &field.ty));
    (
        batch[candidates].0.size_wasm32(),
        decision.size.size_wasm32(),
    )
}
