//! What pen and the programs around it ask of the operating system, one mechanism a file: mechanism without policy, and
//! the only home of `unsafe`.

#[cfg(target_os = "linux")]
pub mod apart;
pub mod capabilities;
pub mod child;
pub mod clock;
pub mod control;
pub mod daemon;
pub mod datagram;
pub mod diag;
pub mod errors;
pub mod fifo;
pub mod files;
pub mod inherited;
pub mod interfaces;
pub mod limits;
pub mod local_time;
pub mod memory;
mod message_file;
pub mod net;
pub mod notify;
pub mod packet;
pub mod peer;
pub mod pipe;
pub mod privileges;
pub mod process_figures;
pub mod program;
pub mod published;
mod repeats;
mod runs;
pub mod signals;
pub mod socket;
pub mod syslog;
#[doc(hidden)]
pub mod tempdir;
pub mod terminal;
pub mod threads;
pub mod waking;

use pen_proto::escape;
