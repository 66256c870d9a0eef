//! What the operator configured, as values. Pure: nothing here opens, binds or looks anything up.
//!
//! [`Settings`] is what workers read (swapped as a whole on change); [`Config`] is everything, including what only the
//! main thread uses. Commands change a `Config`; `control/apply` makes the running pen follow.

use crate::acl::{ACL_COUNT, Acl};
use pen_proto::addr::{ListenAddr, ServerSpec};
use pen_proto::commands::{FastClose, Flag, LogFormat, LogTarget, Number};
use std::net::IpAddr;

/// Values that decide how connections are accepted, chosen and relayed.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    flags: [bool; Flag::COUNT],
    numbers: [u64; Number::COUNT],
    pub tcp_fastclose: FastClose,
    pub log_format: LogFormat,
    /// Local address of upstream sockets.
    pub source: Option<IpAddr>,
    pub acls: [Acl; ACL_COUNT],
}

impl Settings {
    pub fn flag(&self, flag: Flag) -> bool {
        self.flags[flag as usize]
    }
    pub fn set_flag(&mut self, flag: Flag, on: bool) {
        self.flags[flag as usize] = on;
    }
    pub fn number(&self, number: Number) -> u64 {
        self.numbers[number as usize]
    }
    pub fn set_number(&mut self, number: Number, value: u64) {
        self.numbers[number as usize] = value;
    }
}

impl Default for Settings {
    /// The defaults of the command table.
    fn default() -> Settings {
        Settings {
            flags: [false; Flag::COUNT],
            numbers: [0; Number::COUNT],
            tcp_fastclose: FastClose::default(),
            log_format: LogFormat::default(),
            source: None,
            acls: Default::default(),
        }
    }
}

/// A configured server and the list its clients must pass.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerEntry {
    pub spec: ServerSpec,
    pub acl: u8,
}

/// Everything that was configured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    pub settings: Settings,
    /// By index; `None` is a gap left by `server N`.
    pub servers: Vec<Option<ServerEntry>>,
    pub emergency: Option<ServerEntry>,
    pub abuse: Option<ServerEntry>,
    pub listen: Option<ListenAddr>,
    pub control: Option<ListenAddr>,
    pub log: Option<LogTarget>,
    pub web_stats: Option<String>,
    pub config_file: Option<String>,
    pub pid_file: Option<String>,
    pub user: Option<String>,
    /// Directory of `-j`.
    pub jail: Option<String>,
    pub foreground: bool,
}
