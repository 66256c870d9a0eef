//! The families whose value is one figure of a snapshot: name, kind, help, and which figure.
//!
//! A new one is a line here.

use super::{COUNTER, GAUGE};
use pen_proto::status::{DsrStatus, ProcessStatus, ServerStatus, Totals};
use pen_proto::weight::Weight;
use std::fmt::{self, Display, Formatter};

/// By the names that Prometheus gives them for every process. Nothing where the system does not tell.
type ProcessFamily = (&'static str, &'static str, &'static str, fn(&ProcessStatus) -> Option<Figure>);

pub(super) const PROCESS_FAMILIES: [ProcessFamily; 6] = [
    ("process_cpu_seconds_total", COUNTER, "Processor time of all threads, in seconds.", |p| {
        p.cpu_milliseconds.map(Figure::Milliseconds)
    }),
    ("process_resident_memory_bytes", GAUGE, "Memory in use.", |p| p.resident_bytes.map(Figure::Count)),
    ("process_virtual_memory_bytes", GAUGE, "Addresses in use.", |p| p.virtual_bytes.map(Figure::Count)),
    ("process_open_fds", GAUGE, "Open descriptors.", |p| p.open_descriptors.map(Figure::Count)),
    ("process_max_fds", GAUGE, "Most descriptors at a time.", |p| Some(Figure::Count(p.descriptors_max))),
    ("process_threads", GAUGE, "Threads, workers and others.", |p| p.threads.map(Figure::Count)),
];

pub(super) type Counter<T> = (&'static str, &'static str, fn(&T) -> u64);

pub(super) const TOTALS: [Counter<Totals>; 21] = [
    ("pen_connections_accepted_total", "Connections accepted.", |totals| totals.accepted),
    ("pen_connections_closed_total", "Connections ended.", |totals| totals.closed),
    ("pen_connections_rejected_total", "Clients that no server could take.", |totals| totals.rejected),
    ("pen_connections_denied_total", "Clients refused by client_acl.", |totals| totals.denied),
    ("pen_clients_over_limit_total", "Clients refused for what one client may have.", |totals| {
        totals.over_limit
    }),
    ("pen_clients_queued_total", "Clients that waited for a server that was not full.", |totals| {
        totals.queued
    }),
    ("pen_queue_timeouts_total", "Clients that waited too long for it.", |totals| totals.queue_timeouts),
    ("pen_failovers_total", "Connects tried again on another server.", |totals| totals.failovers),
    ("pen_connect_failures_total", "Connects that failed.", |totals| totals.connect_failures),
    ("pen_connect_timeouts_total", "Connects that timed out.", |totals| totals.connect_timeouts),
    ("pen_idle_timeouts_total", "Connections closed for being idle.", |totals| totals.idle_timeouts),
    ("pen_proxy_errors_total", "Connections closed for want of a proper PROXY header.", |totals| {
        totals.proxy_errors
    }),
    ("pen_http_unedited_total", "Connections whose client sent nothing that http could add to.", |totals| {
        totals.http_unedited
    }),
    ("pen_http_refused_total", "Connections closed for a request that http could not pass on.", |totals| {
        totals.http_refused
    }),
    ("pen_descriptor_shortages_total", "Times accepting stopped for want of descriptors.", |totals| {
        totals.descriptor_shortages
    }),
    ("pen_log_lines_dropped_total", "Traffic log lines lost.", |totals| totals.log_lines_dropped),
    ("pen_idlers_used_total", "Clients given a connection kept ready.", |totals| totals.idlers_used),
    ("pen_idlers_lost_total", "Connections kept ready that ended unused.", |totals| totals.idlers_lost),
    ("pen_tls_handshakes_total", "TLS handshakes of clients that succeeded.", |totals| totals.tls_handshakes),
    ("pen_tls_resumptions_total", "TLS handshakes of clients that took up an earlier session.", |totals| {
        totals.tls_resumptions
    }),
    ("pen_tls_failures_total", "TLS handshakes of clients that failed.", |totals| totals.tls_failures),
];

pub(super) const DSR_TOTALS: [Counter<DsrStatus>; 4] = [
    ("pen_dsr_forwarded_frames_total", "Frames sent on to servers.", |dsr| dsr.forwarded),
    ("pen_dsr_answers_total", "Answers to questions for an address.", |dsr| dsr.answers),
    ("pen_dsr_tarpitted_total", "Connections that got stuck in the tarpit.", |dsr| dsr.tarpitted),
    ("pen_dsr_displaced_flows_total", "Flows forgotten for want of room.", |dsr| dsr.displaced),
];

/// What a metric of a server says.
pub(super) enum Figure {
    Count(u64),
    /// Shown in seconds.
    Milliseconds(u64),
    Weight(Weight),
}

impl<N: Into<u64>> From<N> for Figure {
    fn from(count: N) -> Figure {
        Figure::Count(count.into())
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Count(count) => count.fmt(f),
            Figure::Milliseconds(ms) => write!(f, "{}.{:03}", ms / 1000, ms % 1000),
            Figure::Weight(weight) => weight.fmt(f),
        }
    }
}

pub(super) type Family = (&'static str, &'static str, &'static str, fn(&ServerStatus) -> Figure);

pub(super) const SERVER_FAMILIES: [Family; 13] = [
    (
        "pen_server_up",
        GAUGE,
        "1 if the server was well when it was last met and is in service, otherwise 0.",
        |s| u64::from(s.is_up()).into(),
    ),
    ("pen_server_blacklisted_seconds", GAUGE, "Seconds until the server is tried again.", |s| {
        s.blacklisted_seconds.into()
    }),
    ("pen_server_failed_time_seconds", GAUGE, "When a connect failed last, in seconds since 1970.", |s| {
        s.failed_at_epoch_seconds.into()
    }),
    ("pen_server_connections", GAUGE, "Open connections to the server.", |s| s.connections.into()),
    ("pen_server_idlers", GAUGE, "Connections to the server ready for clients.", |s| s.idlers.into()),
    ("pen_server_connections_soft_max", GAUGE, "Limit for new clients; 0 is none.", |s| s.max.into()),
    ("pen_server_connections_hard_max", GAUGE, "Limit for clients that belong to it.", |s| s.hard.into()),
    ("pen_server_weight", GAUGE, "Share of the clients it gets; 0 when not configured.", |s| {
        Figure::Weight(s.weight.unwrap_or_default())
    }),
    ("pen_server_prio", GAUGE, "Smallest is chosen first in prio mode.", |s| s.prio.into()),
    ("pen_server_sent_bytes_total", COUNTER, "Bytes sent to the server.", |s| s.sent_bytes.into()),
    ("pen_server_received_bytes_total", COUNTER, "Bytes received from the server.", |s| {
        s.received_bytes.into()
    }),
    ("pen_server_connections_opened_total", COUNTER, "Connections opened to the server.", |s| {
        s.connections_total.into()
    }),
    ("pen_server_failures_total", COUNTER, "Connects to it that failed or timed out.", |s| {
        s.failures_total.into()
    }),
];
