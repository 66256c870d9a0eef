//! Lines of the traffic log about what clients send.

use super::services::LocalService;
use crate::balance::Endpoint;
use crate::log::traffic::{Target, TrafficLog};
use crate::os;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::LogFormat;
use std::io::Write;

/// Whether there is a line for each read from a client.
pub(super) fn logs_reads(service: &LocalService) -> bool {
    match service.log.target() {
        Target::Off => false,
        Target::File => service.settings.choice::<LogFormat>() != LogFormat::Json,
        Target::Network => true,
    }
}

/// One line for one read from a client, in Pen's format. Datagrams keep it whatever `log_format` says.
pub(crate) fn log_read(
    log: &mut TrafficLog,
    format: LogFormat,
    client: ClientAddr,
    server: Option<&Endpoint>,
    bytes: &[u8],
) {
    let mut address = AddressText::default();
    match log.target() {
        Target::Off => {}
        Target::File if format == LogFormat::Json => {}
        Target::File => log.line(&client, os::epoch_ms() / 1000, address.of(server), bytes),
        Target::Network => log.datagram(&client, address.of(server), bytes),
    }
}

/// Room for a server's address as text, so that a log line allocates nothing. A path is at most 107 bytes.
pub(crate) struct AddressText {
    bytes: [u8; 128],
}

impl Default for AddressText {
    fn default() -> AddressText {
        AddressText { bytes: [0; 128] }
    }
}

impl AddressText {
    /// Empty without an endpoint.
    pub(crate) fn of(&mut self, endpoint: Option<&Endpoint>) -> &str {
        let Some(endpoint) = endpoint else { return "" };
        let mut rest = &mut self.bytes[..];
        // Cannot fail: nothing that an endpoint holds is longer than the room.
        let _ = write!(rest, "{endpoint}");
        let length = 128 - rest.len();
        std::str::from_utf8(&self.bytes[..length]).unwrap_or("")
    }
}
