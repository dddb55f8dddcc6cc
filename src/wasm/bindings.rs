//! The contract in `wit/` as the host sees it, generated. Only [`lower`](super::lower) and
//! [`lift`](super::lift) read or make these types; nothing outside `wasm` sees them.
//!
//! Parameters borrow what they are made from: a batch reaches a module's memory without a copy
//! of its strings on the way.

wasmtime::component::bindgen!({
    path: "wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: true },
});
