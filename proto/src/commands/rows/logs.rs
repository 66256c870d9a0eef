//! The rows about logs and figures.

use super::{JSON, NUMBER, OPTIONAL_FILE, file, flag, number, optional};
use crate::commands::{
    Address, AddressValue, Answer, Argument, Choice, Complete, Flag, Group, Kind, Number, Question, Row,
    Scope, Text,
};

const LIVE: Row = Row { group: Group::Logs, ..super::LIVE };
const NEW: Row = Row { group: Group::Logs, ..super::NEW };

const MESSAGES: &[&str] = &["syslog", "stderr"];
/// What each level of `debug` adds to those below it.
pub static DEBUG_LEVELS: &[(&str, &str)] = &[
    ("0", "errors, warnings, and what becomes of servers: failed, back, none left"),
    (
        "1",
        "the version and the servers at start, each line of a control client, requests that `http` leaves alone, \
         hardware addresses of direct server return",
    ),
    ("2", "each connection and UDP session: client, server, end and bytes; TLS that fails"),
    ("3", "what is read, as a dump"),
    ("4..9", "as 3"),
];

const FORMATS: &[&str] = &["pen", "json"];

pub const ROWS: &[Row] = &[
    Row {
        word: "ascii",
        letter: Some('a'),
        no: true,
        kind: flag(Flag::Ascii),
        summary: "dump traffic as text instead of hexadecimal",
        detail: "Matters only at debug level 3 and above.",
        ..LIVE
    },
    Row {
        word: "debug",
        letter: Some('d'),
        args: NUMBER,
        scope: Scope::Process,
        kind: number(Number::Debug, 0, 9, 0),
        summary: "how much pen says about its work",
        detail: "As an option it takes no number: repeat it, as in `-dd`. Each level adds to those below it.",
        ..LIVE
    },
    Row {
        word: "log",
        letter: Some('l'),
        no: true,
        args: &[optional("FILE|HOST:PORT", Complete::Path)],
        kind: Kind::Address {
            address: Address::Log,
            read: AddressValue::target,
            want: "an address",
            answer: Answer::Value,
        },
        summary: "write a line for everything a client sends",
        detail: "pen writes to a file, or in UDP datagrams to a penlogd at HOST:PORT. `no log` ends it. On \
                 the signal HUP pen reopens the file, so that you can rotate it.",
        ..LIVE
    },
    Row {
        word: "log_format",
        args: &[optional("pen|json", Complete::Words(FORMATS))],
        kind: Kind::Choice { choice: Choice::LogFormat, words: FORMATS, default: 0, answer: Answer::Value },
        summary: "format of the log lines",
        detail: "`pen`, the default, is Pen's line for each piece read from a client, for mergelogs and \
                 penlogd. `json` is one object at the end of each connection.",
        ..NEW
    },
    Row {
        word: "messages",
        args: &[optional("FILE|syslog|stderr", Complete::Words(MESSAGES))],
        no: true,
        scope: Scope::Process,
        kind: file(Text::Messages, Answer::Value),
        summary: "where pen writes its messages about itself",
        detail: "Without it they go to standard error with `-f`, and to syslog in the background, where nobody \
                 hears standard error. In a file, to which pen appends, each has the time in front. On the signal \
                 HUP pen opens the file again, so that you can rotate it. The file must not be a symbolic link. \
                 pen does not wait for the disk: when it is full, messages wait in memory, then pen drops and \
                 counts them. A message that repeats is written once a minute with its count. `no messages` goes \
                 back.",
        ..NEW
    },
    Row {
        word: "metrics",
        scope: Scope::Process,
        kind: Kind::Question(Argument::Nothing(|| Question::Metrics)),
        summary: "show figures in the Prometheus text format",
        detail: "As `/metrics` of `metrics_listen` has them, for a collector that asks the control port.",
        ..NEW
    },
    Row {
        word: "metrics_listen",
        args: &[optional("ADDRESS", Complete::Address)],
        no: true,
        scope: Scope::Process,
        kind: Kind::Address {
            address: Address::MetricsListen,
            read: AddressValue::local_listen,
            want: "an address",
            answer: Answer::Value,
        },
        summary: "serve metrics and health by HTTP",
        detail: "`/metrics` in the Prometheus text format; `/healthz`, 200 while the main loop answers; \
                 `/readyz`, 200 while pen accepts clients and each service has a server that it may choose, \
                 otherwise 503 and the reason. ADDRESS is `HOST:PORT`, `[IPv6]:PORT`, `:PORT` for all \
                 interfaces, `PORT` for the loopback interface alone, or the path of a Unix socket. Visitors \
                 are not authenticated. `no metrics_listen` ends it.",
        ..NEW
    },
    Row {
        word: "status",
        args: JSON,
        scope: Scope::Process,
        kind: Kind::Question(Argument::Listing(Question::Status)),
        summary: "show the state as an HTML page",
        detail: "If `web_stats` names a file, pen writes it too. With `json`, prints one JSON object with \
                 the same figures and more, which begins with the service that the line names. On a terminal \
                 `penctl` shows tables instead.",
        ..LIVE
    },
    Row {
        word: "web_stats",
        letter: Some('w'),
        no: true,
        args: OPTIONAL_FILE,
        scope: Scope::Process,
        kind: file(Text::WebStats, Answer::Value),
        summary: "file for the HTML page",
        detail: "pen writes it on the signal USR1 and on `status`. Readers never see half a page if its \
                 directory belongs to the user of `-u`. `no web_stats` ends it.",
        ..LIVE
    },
];
