//! One mechanism of the operating system each, without policy.

pub mod files;
