//! The languages that pen and the programs around it speak: commands, addresses, status snapshots and log lines.
//!
//! Pure: no I/O, no clock, no unsafe. Every program of the workspace uses these parsers and writers, so each format
//! has one home.
#![forbid(unsafe_code)]

pub mod addr;
pub mod called;
pub mod commands;
pub mod endpoint;
pub mod escape;
pub mod glb;
pub mod help;
pub mod load;
pub mod logline;
pub mod names;
pub mod network;
pub mod parse;
pub mod rate;
pub mod readable;
pub mod seconds;
pub mod status;
pub mod weblog;
pub mod weight;
pub mod words;
