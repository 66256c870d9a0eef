//! The JSON line of an ended connection (`log_format json`). Pure: writes into the caller's buffer, allocates nothing.
//!
//! Called by workers through `traffic`.

use crate::escape::is_dangerous;
use chrono::{DateTime, Datelike, Timelike};
use pen_proto::addr::ClientAddr;
use std::fmt::Display;
use std::io::Write;

/// A connection that has ended, as the log tells it.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionRecord<'a> {
    /// When it was accepted, in milliseconds since 1970.
    pub start_epoch_milliseconds: u64,
    pub duration_milliseconds: u64,
    pub client: ClientAddr,
    /// `None` for a client of a Unix socket.
    pub client_port: Option<u16>,
    /// Index of the server, -1 for emergency, -2 for abuse; `None` when no server took the client.
    pub server: Option<i32>,
    /// Without the port; `None` when no server took the client.
    pub server_address: Option<&'a str>,
    /// `None` for a Unix socket, and when no server took the client.
    pub server_port: Option<u16>,
    /// Client to server.
    pub up_bytes: u64,
    /// Server to client.
    pub down_bytes: u64,
    /// Why it ended.
    pub reason: &'a str,
    /// Servers tried before the one that took it.
    pub retries: u32,
    /// The address it came in on.
    pub listener: &'a str,
    /// Whose it is.
    pub service: &'a str,
}

impl ConnectionRecord<'_> {
    /// Appends one JSON object and a newline.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        write_time(out, self.start_epoch_milliseconds);
        out.push(b'"');
        number(out, "duration_ms", Some(self.duration_milliseconds));
        key(out, "client");
        // Addresses consist of hexadecimal digits, dots and colons: nothing to escape.
        put(out, format_args!("\"{}\"", self.client));
        number(out, "client_port", self.client_port);
        number(out, "server", self.server);
        match self.server_address {
            Some(address) => text(out, "server_address", address),
            None => number(out, "server_address", None::<u16>),
        }
        number(out, "server_port", self.server_port);
        number(out, "up_bytes", Some(self.up_bytes));
        number(out, "down_bytes", Some(self.down_bytes));
        text(out, "reason", self.reason);
        number(out, "retries", Some(self.retries));
        text(out, "listener", self.listener);
        text(out, "service", self.service);
        out.extend_from_slice(b"}\n");
    }
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`; a time that no calendar knows becomes 1970.
fn write_time(out: &mut Vec<u8>, epoch_milliseconds: u64) {
    let known = i64::try_from(epoch_milliseconds).ok().and_then(DateTime::from_timestamp_millis);
    let time = known.unwrap_or_default();
    put(
        out,
        format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.timestamp_subsec_millis(),
        ),
    );
}

fn key(out: &mut Vec<u8>, key: &str) {
    put(out, format_args!(",\"{key}\":"));
}

fn number(out: &mut Vec<u8>, name: &str, number: Option<impl Display>) {
    key(out, name);
    match number {
        Some(number) => put(out, format_args!("{number}")),
        None => out.extend_from_slice(b"null"),
    }
}

fn text(out: &mut Vec<u8>, name: &str, text: &str) {
    key(out, name);
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' | '\\' => put(out, format_args!("\\{c}")),
            c if is_dangerous(c) => put(out, format_args!("\\u{:04x}", u32::from(c))),
            c => put(out, format_args!("{c}")),
        }
    }
    out.push(b'"');
}

fn put(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn example() -> ConnectionRecord<'static> {
        ConnectionRecord {
            start_epoch_milliseconds: 1_795_224_206_007,
            duration_milliseconds: 1250,
            client: ClientAddr::Ip(Ipv4Addr::new(203, 0, 113, 7).into()),
            client_port: Some(50112),
            server: Some(1),
            server_address: Some("10.0.0.2"),
            server_port: Some(8080),
            up_bytes: 412,
            down_bytes: 8_388_608,
            reason: "client closed",
            retries: 1,
            listener: "0.0.0.0:80",
            service: "main",
        }
    }

    fn written(record: &ConnectionRecord<'_>) -> String {
        let mut out = Vec::new();
        record.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_line_reads_as_documented() {
        assert_eq!(
            written(&example()),
            "{\"time\":\"2026-11-21T01:23:26.007Z\",\"duration_ms\":1250,\"client\":\"203.0.113.7\",\
             \"client_port\":50112,\"server\":1,\"server_address\":\"10.0.0.2\",\"server_port\":8080,\
             \"up_bytes\":412,\"down_bytes\":8388608,\"reason\":\"client closed\",\"retries\":1,\"listener\":\"0.0.0.0:80\",\"service\":\"main\"}\n"
        );
    }

    #[test]
    fn what_is_unknown_is_null() {
        let record = ConnectionRecord {
            client: ClientAddr::Unix,
            client_port: None,
            server: None,
            server_address: None,
            server_port: None,
            start_epoch_milliseconds: u64::MAX,
            ..example()
        };
        let parsed: Value = serde_json::from_str(&written(&record)).unwrap();
        assert_eq!(parsed["client"], "");
        assert_eq!(parsed["client_port"], Value::Null);
        for name in ["server", "server_address", "server_port"] {
            assert_eq!(parsed.get(name), Some(&Value::Null), "{name}");
        }
        assert_eq!(parsed["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn nothing_is_allocated_but_the_buffer() {
        let mut out = Vec::with_capacity(512);
        let buffer = out.as_ptr();
        example().write(&mut out);
        assert_eq!(out.as_ptr(), buffer);
    }

    proptest! {
        #[test]
        fn every_record_is_one_line_that_reads_back(
            start in 0..253_402_300_800_000_u64,
            numbers in any::<(u64, u64, u64, u32)>(),
            client in any::<u128>(),
            client_port in any::<Option<u16>>(),
            server in any::<Option<(i32, Option<u16>)>>(),
            texts in any::<(String, String, String)>(),
        ) {
            let client = ClientAddr::Ip(Ipv6Addr::from(client).into());
            let record = ConnectionRecord {
                start_epoch_milliseconds: start,
                duration_milliseconds: numbers.0,
                client,
                client_port,
                server: server.map(|server| server.0),
                server_address: server.map(|_| texts.0.as_str()),
                server_port: server.and_then(|server| server.1),
                up_bytes: numbers.1,
                down_bytes: numbers.2,
                reason: &texts.1,
                retries: numbers.3,
                listener: &texts.2,
                service: "web",
            };
            let line = written(&record);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert!(!line.trim_end().chars().any(is_dangerous));
            let time = DateTime::from_timestamp_millis(start as i64).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json!({
                "time": time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
                "duration_ms": numbers.0,
                "client": client.to_string(),
                "client_port": client_port,
                "server": server.map(|server| server.0),
                "server_address": server.map(|_| texts.0.as_str()),
                "server_port": server.and_then(|server| server.1),
                "up_bytes": numbers.1,
                "down_bytes": numbers.2,
                "reason": texts.1,
                "retries": numbers.3,
                "listener": texts.2,
                "service": "web",
            }));
        }
    }
}
