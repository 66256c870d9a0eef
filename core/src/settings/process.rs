//! What workers read of the settings of the process. Everything else they read is of a service.

use super::Settings;
use pen_proto::commands::Number;

/// As the commands of the same names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSettings {
    /// 0: as many as descriptors allow.
    pub conn_max: u64,
    pub pending_max: u64,
    pub multi_accept: u64,
    pub udp_sessions_max: u64,
}

impl From<&Settings> for ProcessSettings {
    fn from(settings: &Settings) -> ProcessSettings {
        ProcessSettings {
            conn_max: settings.number(Number::ConnMax),
            pending_max: settings.number(Number::PendingMax),
            multi_accept: settings.number(Number::MultiAccept),
            udp_sessions_max: settings.number(Number::UdpSessionsMax),
        }
    }
}
