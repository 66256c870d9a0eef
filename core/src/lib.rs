//! What pen decides, apart from everything it does: the time is an argument, nothing is opened, nobody waits.
//!
//! Pure: no files, no sockets, no clock, no unsafe. `pen` carries out what is decided here; programs that show pages use
//! `stats`.
#![forbid(unsafe_code)]

pub mod acl;
pub mod balance;
pub mod checks;
pub mod chunked;
pub mod clones;
pub mod dsr;
pub mod glbd;
pub mod half_close;
pub mod http;
pub mod imports;
pub mod loads;
mod lru;
pub mod proxy_protocol;
pub mod settings;
pub mod slab;
pub mod stats;
pub mod timers;
pub mod tls;
pub mod udp;
pub mod uri;

use pen_proto::escape;
