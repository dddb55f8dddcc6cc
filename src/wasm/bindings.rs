//! The contract in `wit/` as the host sees it, generated, one module for each version that is
//! served. Nothing outside `wasm` sees these types.
//!
//! Parameters borrow what they are made from: a batch reaches a module's memory without a copy
//! of its strings on the way.

/// The present version. Its world has every interface; a module has those it exports.
pub(super) mod v0_2 {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "two-way-policy",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// What modules were built for before; see [`super::v0_1`].
pub(super) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "wit/0.1",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}
