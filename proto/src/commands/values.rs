//! The values of settings and of keys that are one of a few words. The words of settings stand in their rows.

use super::settings::{Choice, OneOf};
use super::word_of;
use serde::{Deserialize, Serialize};
use std::fmt;

/// When an end of file ends the connection at once instead of travelling on: `tcp_fastclose`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FastClose {
    /// End of file from the server.
    Up,
    /// End of file from the client.
    Down,
    Both,
    Off,
}

impl OneOf for FastClose {
    const SETTING: Choice = Choice::TcpFastclose;
    const ALL: &'static [FastClose] = &[FastClose::Up, FastClose::Down, FastClose::Both, FastClose::Off];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Pen's line for every read from a client.
    Pen,
    /// One JSON object at the end of each connection.
    Json,
}

impl OneOf for LogFormat {
    const SETTING: Choice = Choice::LogFormat;
    const ALL: &'static [LogFormat] = &[LogFormat::Pen, LogFormat::Json];
}

/// How a server is chosen for a client that belongs to none: `policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// As Pen's flags say: `prio`, `weight`, `hash`, or else every server in turn.
    Pen,
    /// Every server in turn, as often as its weight says.
    RoundRobin,
    /// The fewest connections for its weight.
    LeastConn,
    /// One server for all, until it fails or one of a higher weight comes.
    Single,
    /// By lot, as often as its weight says.
    Random,
    /// By the client's address, the same on every pen.
    Source,
    /// By what the client asks for: each URI has its server.
    UriHash,
    /// By what the client asks for, as Octopus computes it.
    UriStatic,
    /// The least load, as servers tell it.
    LeastLoad,
}

impl PolicyKind {
    /// Whether a server is chosen when the client has asked for something.
    pub fn reads_requests(self) -> bool {
        matches!(self, PolicyKind::UriHash | PolicyKind::UriStatic)
    }
}

impl OneOf for PolicyKind {
    const SETTING: Choice = Choice::Policy;
    const ALL: &'static [PolicyKind] = &[
        PolicyKind::Pen,
        PolicyKind::RoundRobin,
        PolicyKind::LeastConn,
        PolicyKind::Single,
        PolicyKind::Random,
        PolicyKind::Source,
        PolicyKind::UriHash,
        PolicyKind::UriStatic,
        PolicyKind::LeastLoad,
    ];
}

/// What becomes of servers that have more load than `maxload`: `overload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overload {
    /// Their load does not matter to who may have them.
    Relaxed,
    /// No client that does not belong to one is sent there.
    Strict,
}

impl OneOf for Overload {
    const SETTING: Choice = Choice::Overload;
    const ALL: &'static [Overload] = &[Overload::Relaxed, Overload::Strict];
}

/// What becomes of the open connections of a server that checks find down: `on_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDown {
    /// They go on.
    Keep,
    /// They are cut.
    Close,
}

impl OneOf for OnDown {
    const SETTING: Choice = Choice::OnDown;
    const ALL: &'static [OnDown] = &[OnDown::Keep, OnDown::Close];
}

/// Whether clients show a certificate: `ssl_client_certificate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not asked.
    Off,
    /// Who has none is let in; a wrong one is refused.
    Optional,
    Required,
}

impl OneOf for ClientCertificate {
    const SETTING: Choice = Choice::SslClientCertificate;
    const ALL: &'static [ClientCertificate] =
        &[ClientCertificate::Off, ClientCertificate::Optional, ClientCertificate::Required];
}

/// What `http` makes of the header lines that tell a server about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMode {
    Off,
    /// Each is added, unless the client sent one itself: Pen's way.
    Add,
    /// Those that the client sent are taken out, and ours added. Clients that speak HTTP/2 are refused.
    Replace,
    /// The same, but HTTP/2 passes as it is.
    ReplaceH2,
    /// The address is added to the list that the client sent.
    Append,
}

impl OneOf for HttpMode {
    const SETTING: Choice = Choice::Http;
    const ALL: &'static [HttpMode] =
        &[HttpMode::Off, HttpMode::Add, HttpMode::Replace, HttpMode::ReplaceH2, HttpMode::Append];
}

/// Which PROXY header a server gets: `server N proxy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    #[default]
    None,
    /// A line of text.
    V1,
    /// Binary.
    V2,
    /// Binary, with what is known of the client's TLS.
    V2Ssl,
}

impl ProxyHeader {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, ProxyHeader); 4] = [
        ("v1", ProxyHeader::V1),
        ("v2", ProxyHeader::V2),
        ("v2-ssl", ProxyHeader::V2Ssl),
        ("none", ProxyHeader::None),
    ];
}

/// Whether a server serves clients: `server N role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Member,
    /// It gets a copy of what clients send to members, and its answers go nowhere.
    Clone,
}

impl Role {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, Role); 2] = [("member", Role::Member), ("clone", Role::Clone)];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&Role::WORDS, self))
    }
}

impl fmt::Display for ProxyHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(&ProxyHeader::WORDS, self))
    }
}
