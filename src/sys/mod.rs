//! What pen asks of the operating system, one mechanism a file. The only home of `unsafe` beside `net/poller.rs`.

pub mod capabilities;
pub mod clock;
pub mod daemon;
pub mod datagram;
pub mod errors;
pub mod files;
pub mod interfaces;
pub mod limits;
pub mod memory;
pub mod notify;
pub mod packet;
pub mod pipe;
pub mod privileges;
mod runs;
pub mod signals;
pub mod socket;
