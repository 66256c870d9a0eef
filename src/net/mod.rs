//! (in work)
pub mod listen;
