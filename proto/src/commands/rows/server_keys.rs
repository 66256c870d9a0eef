//! The keys of the command `server`.

use crate::addr::SERVER_LIMIT_MAX;
use crate::commands::{ACL_LAST, CheckChange, SECONDS_MAX, ServerChange, ServerKey, ServerValue};
use crate::load::LOAD_THOUSANDTHS_MAX;

/// A day.
pub const SLOW_START_MAX_MS: u64 = 86_400_000;

/// Every key of `server N`.
pub static SERVER_KEYS: &[ServerKey] = &[
    ServerKey {
        word: "acl",
        value: ServerValue::Number {
            min: 0,
            max: ACL_LAST as u32,
            unit: "",
            change: |list| ServerChange::Acl(list as u8),
        },
        summary: "access list that a client must pass to be sent to this server",
    },
    ServerKey {
        word: "address",
        value: ServerValue::Address(ServerChange::Address),
        summary: "address, host name, Unix socket path, or srv:_SERVICE._PROTOCOL.DOMAIN; the port stays",
    },
    ServerKey {
        word: "port",
        value: ServerValue::Port(ServerChange::Port),
        summary: "port number or service name",
    },
    ServerKey {
        word: "max",
        value: ServerValue::Number {
            min: 0,
            max: SERVER_LIMIT_MAX,
            unit: "connections",
            change: ServerChange::Max,
        },
        summary: "connections at which new clients go elsewhere; 0 is no limit",
    },
    ServerKey {
        word: "hard",
        value: ServerValue::Number {
            min: 0,
            max: SERVER_LIMIT_MAX,
            unit: "connections",
            change: ServerChange::Hard,
        },
        summary: "connections at which its own clients go elsewhere too; only above max",
    },
    ServerKey {
        word: "blacklist",
        value: ServerValue::Number {
            min: 0,
            max: SECONDS_MAX as u32,
            unit: "seconds",
            change: ServerChange::Blacklist,
        },
        summary: "seconds from now during which it gets no connection, whatever becomes of the others; 0 ends it",
    },
    ServerKey {
        word: "name",
        value: ServerValue::Name(ServerChange::Name),
        summary: "a name, which every command takes in place of the number",
    },
    ServerKey {
        word: "group",
        value: ServerValue::Group(ServerChange::Group),
        summary: "the group that it belongs to; all: it belongs to every group, as without this key",
    },
    ServerKey {
        word: "weight",
        value: ServerValue::Weight(ServerChange::Weight),
        summary: "share of the connections under weight, with up to three decimals; 0: no new clients",
    },
    ServerKey {
        word: "prio",
        value: ServerValue::Number { min: 0, max: SERVER_LIMIT_MAX, unit: "", change: ServerChange::Prio },
        summary: "priority under prio; the smallest number is chosen first",
    },
    ServerKey {
        word: "slow_start",
        value: ServerValue::Seconds { min_ms: 0, max_ms: SLOW_START_MAX_MS, change: ServerChange::SlowStart },
        summary: "seconds in which its share grows when it comes back; without it the service's slow_start",
    },
    ServerKey {
        word: "tls",
        value: ServerValue::Tls(ServerChange::Tls),
        summary: "connect with TLS; whether to verify its certificate, for NAME, and which certificate to show it",
    },
    ServerKey {
        word: "sni",
        value: ServerValue::Sni(ServerChange::Sni),
        summary: "only for clients that ask for one of these names in TLS; any: for all others",
    },
    ServerKey {
        word: "proxy",
        value: ServerValue::Proxy(ServerChange::Proxy),
        summary: "begin connections with a PROXY header that names the client; v2-ssl: also describes its TLS",
    },
    ServerKey {
        word: "role",
        value: ServerValue::Role(ServerChange::Role),
        summary: "clone: it serves nobody, and gets a copy of what clients send to a member",
    },
    ServerKey {
        word: "warm_up",
        value: ServerValue::Seconds { min_ms: 0, max_ms: SLOW_START_MAX_MS, change: ServerChange::WarmUp },
        summary: "seconds for which it is a clone when it is new to a service that runs; 0: it serves at once",
    },
    ServerKey {
        word: "source",
        value: ServerValue::Ip(ServerChange::Source),
        summary: "local address of connections to it, in place of the service's; none: as the service says",
    },
    ServerKey {
        word: "check_interval",
        value: ServerValue::Seconds {
            min_ms: 0,
            max_ms: 86_400_000,
            change: |ms| ServerChange::CheckBy(CheckChange::IntervalMs(ms)),
        },
        summary: "seconds from one check of it to the next, in place of those of the service",
    },
    ServerKey {
        word: "check_timeout",
        value: ServerValue::Seconds {
            min_ms: 1,
            max_ms: 3_600_000,
            change: |ms| ServerChange::CheckBy(CheckChange::TimeoutMs(ms)),
        },
        summary: "seconds that a check of it may take",
    },
    ServerKey {
        word: "check_extra",
        value: ServerValue::Seconds {
            min_ms: 0,
            max_ms: 86_400_000,
            change: |ms| ServerChange::CheckBy(CheckChange::ExtraMs(ms)),
        },
        summary: "check it before a new client gets it if its last good check is older than so many seconds",
    },
    ServerKey {
        word: "check_rise",
        value: ServerValue::Number {
            min: 1,
            max: 1_000,
            unit: "checks",
            change: |count| ServerChange::CheckBy(CheckChange::Rise(count)),
        },
        summary: "checks in a row that must succeed before it is up",
    },
    ServerKey {
        word: "check_fall",
        value: ServerValue::Number {
            min: 1,
            max: 1_000,
            unit: "checks",
            change: |count| ServerChange::CheckBy(CheckChange::Fall(count)),
        },
        summary: "checks in a row that must fail before it is down",
    },
    ServerKey {
        word: "check_port",
        value: ServerValue::Number {
            min: 0,
            max: 65_535,
            unit: "",
            change: |port| ServerChange::CheckBy(CheckChange::Port(port as u16)),
        },
        summary: "the port that is checked instead of its own, which is 0",
    },
    ServerKey {
        word: "check",
        value: ServerValue::Check(ServerChange::Check),
        summary: "how it is checked, in place of the check of the service: the rest of the line",
    },
    ServerKey {
        word: "standby",
        value: ServerValue::YesNo(ServerChange::Standby),
        summary: "used only when no other server can be chosen",
    },
    ServerKey {
        word: "maxload",
        value: ServerValue::Decimal { max: LOAD_THOUSANDTHS_MAX, change: ServerChange::Maxload },
        summary: "load at which it counts as fully loaded, in place of that of the service; 0 is none",
    },
    ServerKey {
        word: "load",
        value: ServerValue::Load(ServerChange::Load),
        summary: "where its load is read, in place of the load of the service: the rest of the line",
    },
];
