//! The contract in `wit/` as the host sees it, generated. Nothing outside `wasm` sees these types.
//!
//! The world has every interface; a module has those it exports. Parameters borrow what they are
//! made from: a batch reaches a module's memory without a copy of its strings on the way.

wasmtime::component::bindgen!({
    path: "wit",
    world: "two-way-policy",
    ownership: Borrowing { duplicate_if_necessary: true },
});
