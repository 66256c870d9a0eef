//! A snapshot of a running pen, and its wire form (serde; `status json` prints it).
//!
//! Collected by `instance`, rendered by `stats/{text,html,json,prometheus}`, read back by penctl and webstats.
//! Byte counts are from the point of view of the party they belong to: a server was *sent* what clients wrote, a client
//! was *sent* what servers wrote. Fields that were added have a default, so that a program reads what an older pen says.

mod clones;
mod histogram;
mod reason;
mod services;
mod state;

pub use clones::{
    CloneEnd, CloneEnds, CloneSideStatus, ClonesState, ClonesStatus, Difference, DifferenceExample,
    DifferenceStatus, SpreadStatus,
};
pub use histogram::{BOUNDS, Histogram, ServerTimes};
pub use reason::{CloseReason, Ends};
pub use services::{MAIN, ServiceStatus, ServiceView};
pub use state::{Level, ServerState, bits, special};

use crate::commands::Role;
use crate::load::Load;
use crate::weight::Weight;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    /// Local time, `YYYY-MM-DD HH:MM:SS`.
    pub time_local: String,
    pub time_epoch_seconds: u64,
    pub uptime_seconds: u64,
    pub listen: Vec<String>,
    pub workers: u32,
    /// In words, as `mode` answers, without the newline.
    pub mode: String,
    /// The server tried last: an index or one of [`special`]. Pen's pages call it "current".
    pub current_server: i32,
    /// Regular servers in order, then the emergency and the abuse server where configured.
    pub servers: Vec<ServerStatus>,
    pub clients_max: u64,
    pub clients: Vec<ClientStatus>,
    /// Effective limit on simultaneous connections.
    pub connections_max: u64,
    pub connections_used: u64,
    /// Number of the connection opened last.
    pub connections_last: u64,
    pub connections: Vec<ConnectionStatus>,
    /// No more fit at present or lately: clients wait, or, with UDP, new sessions end others.
    #[serde(default)]
    pub full: bool,
    /// Connections to servers that are ready for clients; they count in nothing else here.
    #[serde(default)]
    pub idlers: u64,
    /// As `idlers` sets it.
    #[serde(default)]
    pub idlers_wanted: u64,
    /// Whether the connections are UDP sessions.
    #[serde(default)]
    pub udp: bool,
    pub totals: Totals,
    /// Where servers are clones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clones: Option<ClonesStatus>,
    /// With direct server return: what it has done beside that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dsr: Option<DsrStatus>,
    /// Which service this is about; empty where `main` is the only one. Of the process and not of a service are the fields
    /// up to `uptime_seconds`, `workers`, `connections_max`, `connections_used` and `full`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// See [`ServiceStatus::clients_from`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_from: Option<String>,
    /// The load of its servers together, in percent of what they should have; see [`ServiceView::load_percent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_percent: Option<u32>,
    /// Connections of this service alone, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_own: Option<u64>,
    /// How many clients are remembered, where they are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_used: Option<u64>,
    /// What the system knows of the process; an older pen does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessStatus>,
    /// All other services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceStatus>,
    /// Of all services together; `getstat` alone tells it.
    #[serde(skip)]
    pub calls: Calls,
}

/// How often the workers asked the system for something, since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    pub receives: u64,
    pub sends: u64,
    /// Sockets that became readable.
    pub readable: u64,
    /// Sockets that became writable.
    pub writable: u64,
    pub wakeups: u64,
}

impl Calls {
    pub fn add(&mut self, other: Calls) {
        self.receives += other.receives;
        self.sends += other.sends;
        self.readable += other.readable;
        self.writable += other.writable;
        self.wakeups += other.wakeups;
    }
}

/// What the system knows of the process; `None` where it does not tell, as in a jail without `/proc`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Processor time of all threads, in user mode and in the kernel.
    pub cpu_milliseconds: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_descriptors: Option<u64>,
    pub descriptors_max: u64,
    pub threads: Option<u64>,
}

/// Direct server return. Counts are of frames, since start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DsrStatus {
    pub interface: String,
    /// Sent on to servers.
    pub forwarded: u64,
    /// Answers to questions for an address, by ARP or neighbour discovery.
    pub answers: u64,
    /// Connections that got stuck in the tarpit.
    pub tarpitted: u64,
    /// Flows forgotten for want of room.
    pub displaced: u64,
    /// Dropped because they could not be read.
    pub malformed: u64,
    /// Dropped because the server's hardware address was not found.
    pub unreachable: u64,
    /// Dropped because the system did not take them.
    pub unsent: u64,
    /// Dropped by the system because pen did not keep up.
    pub overrun: u64,
    /// By address.
    pub servers: Vec<NeighbourStatus>,
}

/// Where a server is on the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NeighbourStatus {
    pub address: String,
    /// Hardware address; empty while it is not known.
    pub mac: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Index on the command line or N of `server N`; or one of [`special`].
    pub index: i32,
    /// Numeric address or Unix path.
    pub address: String,
    pub port: u16,
    /// Epoch seconds of the last failed connect, 0 for none: Pen's "status".
    pub failed_at_epoch_seconds: u64,
    /// Seconds until the server is tried again, 0 when it is available.
    pub blacklisted_seconds: u64,
    /// With a client.
    pub connections: u32,
    /// Ready for a client.
    #[serde(default)]
    pub idlers: u32,
    pub max: u32,
    pub hard: u32,
    /// Nothing where none was given, which counts as 1; with 0 only clients that belong to it are sent to it.
    pub weight: Option<Weight>,
    pub prio: u32,
    pub acl: u8,
    /// The PROXY header it gets: `v1`, `v2`, `v2-ssl` or `none`.
    #[serde(default)]
    pub proxy: String,
    /// As after `tls`: `verify www.example.org certificate pen.pem`, or `off`.
    #[serde(default)]
    pub tls: String,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Connections ever opened to it.
    pub connections_total: u64,
    /// Connects that failed or timed out.
    pub failures_total: u64,
    /// What was last met was a failure, be its blacklist time over or not: nobody has seen it well since.
    #[serde(default)]
    pub failed: bool,
    /// How long it took; nothing where it was never asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<ServerTimes>,
    /// See [`ServerStatus::state`], which knows what to do where it is missing.
    #[serde(default, deserialize_with = "state::known_state", skip_serializing_if = "Option::is_none")]
    pub state: Option<ServerState>,
    /// Its own, which every command takes in place of its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The group that it belongs to; nothing where it belongs to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Another group is in use, so that it gets no clients.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_reserve: bool,
    /// Since when it is in this state, where that has a beginning.
    #[serde(default, rename = "since", skip_serializing_if = "Option::is_none")]
    pub since_epoch_seconds: Option<u64>,
    /// What is known of the cause, where it is not up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A check named it, and no person configured it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discovered: bool,
    /// How it is checked, as after `check`; nothing where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// How long the last check that was answered took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_us: Option<u32>,
    /// What it has to do, as it says itself; nothing while that is unknown.
    #[serde(default)]
    pub load: Option<Load>,
    /// The load at which it is fully loaded; nothing where there is no such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxload: Option<Load>,
    /// Its load in percent of that, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_load: Option<u32>,
    /// It is used only when others are gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
    /// Where that is read, as after `load` but without a community; nothing where nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_from: Option<String>,
    /// Why it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_error: Option<String>,
    /// Whether it serves clients.
    #[serde(default)]
    pub role: Role,
    /// How many URIs have this server, with `policy uri_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uris: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientStatus {
    pub slot: u32,
    /// Empty for Unix socket clients.
    pub address: String,
    /// Seconds since its last connect.
    pub age_seconds: u64,
    /// Server index it belongs to, negative as in [`Status::current_server`].
    pub server: i32,
    pub connects: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Number as `close N` and `connection N` take it.
    pub number: u32,
    /// Client address and port.
    pub client: String,
    pub client_slot: i64,
    pub server: i32,
    pub server_address: String,
    /// Pen's [`bits`].
    pub state: u32,
    pub down_fd: i32,
    pub up_fd: i32,
    /// Bytes read but not yet taken by the client / the server.
    pub pending_down_bytes: u64,
    pub pending_up_bytes: u64,
    /// Client to server so far.
    pub up_bytes: u64,
    /// Server to client so far.
    pub down_bytes: u64,
    pub age_seconds: u64,
    pub idle_seconds: u64,
}

/// Counters since start, summed over the workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub accepted: u64,
    pub closed: u64,
    /// Clients that no server could take.
    pub rejected: u64,
    /// Clients refused by `client_acl` (served by the abuse server or closed).
    pub denied: u64,
    /// Clients refused because they had all that one client may have.
    #[serde(default)]
    pub over_limit: u64,
    /// Clients that wait for a server that is not full.
    #[serde(default)]
    pub waiting: u64,
    /// Clients that had to wait so.
    #[serde(default)]
    pub queued: u64,
    /// Those of them that waited too long.
    #[serde(default)]
    pub queue_timeouts: u64,
    /// Connects that failed and were tried on another server.
    pub failovers: u64,
    pub connect_failures: u64,
    pub connect_timeouts: u64,
    pub idle_timeouts: u64,
    pub resets_by_client: u64,
    pub resets_by_server: u64,
    /// Client to server.
    pub up_bytes: u64,
    /// Server to client.
    pub down_bytes: u64,
    /// Times accepting stopped for want of descriptors.
    pub descriptor_shortages: u64,
    pub log_lines_dropped: u64,
    pub pending_connects: u64,
    /// Clients that were given a connection kept ready.
    #[serde(default)]
    pub idlers_used: u64,
    /// Connections kept ready that ended before they were of use.
    #[serde(default)]
    pub idlers_lost: u64,
    /// TLS handshakes of clients that succeeded.
    #[serde(default)]
    pub tls_handshakes: u64,
    /// Those of them that took up an earlier session.
    #[serde(default)]
    pub tls_resumptions: u64,
    /// TLS handshakes of clients that failed or took too long.
    #[serde(default)]
    pub tls_failures: u64,
    /// Client to server. Of these and the following there are none but with UDP.
    #[serde(default)]
    pub up_datagrams: u64,
    /// Server to client.
    #[serde(default)]
    pub down_datagrams: u64,
    /// Datagrams that could not be passed on: nobody took them, or there was no room.
    #[serde(default)]
    pub datagrams_dropped: u64,
    /// UDP sessions that made room for others.
    #[serde(default)]
    pub sessions_evicted: u64,
    /// Connections of trusted downstreams that were closed for want of a proper PROXY header.
    #[serde(default)]
    pub proxy_errors: u64,
    /// Connections whose client sent nothing that `http` could add its lines to.
    #[serde(default)]
    pub http_unedited: u64,
    /// Connections closed for a request that `http` could not pass on.
    #[serde(default)]
    pub http_refused: u64,
    /// Of those that have ended, how many for which reason.
    #[serde(default)]
    pub ends: Ends,
}

impl Totals {
    /// Adds every count of `more`.
    pub fn add(&mut self, more: &Totals) {
        let Totals {
            accepted,
            closed,
            rejected,
            denied,
            over_limit,
            waiting,
            queued,
            queue_timeouts,
            failovers,
            connect_failures,
            connect_timeouts,
            idle_timeouts,
            resets_by_client,
            resets_by_server,
            up_bytes,
            down_bytes,
            descriptor_shortages,
            log_lines_dropped,
            pending_connects,
            idlers_used,
            idlers_lost,
            tls_handshakes,
            tls_resumptions,
            tls_failures,
            up_datagrams,
            down_datagrams,
            datagrams_dropped,
            sessions_evicted,
            proxy_errors,
            http_unedited,
            http_refused,
            ends,
        } = more;
        self.accepted += accepted;
        self.closed += closed;
        self.rejected += rejected;
        self.denied += denied;
        self.over_limit += over_limit;
        self.waiting += waiting;
        self.queued += queued;
        self.queue_timeouts += queue_timeouts;
        self.failovers += failovers;
        self.connect_failures += connect_failures;
        self.connect_timeouts += connect_timeouts;
        self.idle_timeouts += idle_timeouts;
        self.resets_by_client += resets_by_client;
        self.resets_by_server += resets_by_server;
        self.up_bytes += up_bytes;
        self.down_bytes += down_bytes;
        self.descriptor_shortages += descriptor_shortages;
        self.log_lines_dropped += log_lines_dropped;
        self.pending_connects += pending_connects;
        self.idlers_used += idlers_used;
        self.idlers_lost += idlers_lost;
        self.tls_handshakes += tls_handshakes;
        self.tls_resumptions += tls_resumptions;
        self.tls_failures += tls_failures;
        self.up_datagrams += up_datagrams;
        self.down_datagrams += down_datagrams;
        self.datagrams_dropped += datagrams_dropped;
        self.sessions_evicted += sessions_evicted;
        self.proxy_errors += proxy_errors;
        self.http_unedited += http_unedited;
        self.http_refused += http_refused;
        self.ends.add(ends);
    }
}

/// A line of `services`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceLine {
    pub name: String,
    /// `tcp`, `udp` or `dsr`.
    pub kind: String,
    /// Connections or sessions that are open.
    pub connections: u64,
    pub servers: u64,
    pub listen: Vec<String>,
}

/// A line of `groups`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupLine {
    pub name: String,
    /// Clients are sent to it.
    pub in_use: bool,
    /// Open connections to its servers.
    pub connections: u64,
    pub servers: u64,
    /// How many of its servers are well.
    pub up: u64,
    /// What is in force when it is in use.
    pub policy: String,
}
