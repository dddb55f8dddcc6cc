//! What integration tests stand on: real servers as child processes.

pub(crate) mod apiserver;
pub(crate) mod guests;
pub(crate) mod process;
