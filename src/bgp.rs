//! BGP-4 (RFC 4271): the codec, and the machines that run sessions over it.

pub mod wire;
