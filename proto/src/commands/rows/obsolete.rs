//! The rows about what Pen had and nobody needs any more: accepted, without effect.

use super::{arg, optional};
use crate::commands::{Complete, Group, Kind, Row, Scope};

const LIVE: Row = Row { scope: Scope::Process, ..super::LIVE };

const fn gone(word: &'static str, why: &'static str) -> Row {
    Row {
        word,
        group: Group::Obsolete,
        no: true,
        kind: Kind::Gone(why),
        summary: "accepted, does nothing",
        detail: why,
        ..LIVE
    }
}

const fn gone_option(word: &'static str, letter: char, why: &'static str) -> Row {
    Row { letter: Some(letter), no: false, ..gone(word, why) }
}

const POLLER: &str = "The operating system's best event interface is always used.";
const BLOCKING: &str = "Sockets never block, so there is nothing to switch.";
const DELAYED: &str = "Data is always forwarded at once, and kept only while the receiver cannot take it.";

pub const ROWS: &[Row] = &[
    gone_option("-Z", 'Z', "There is nothing to be compatible with any more."),
    gone("block", BLOCKING),
    gone("delayed_forward", DELAYED),
    Row {
        args: &[optional("IP", Complete::Address)],
        ..gone("dsr_ip", "The address to serve is the listening address.")
    },
    gone("epoll", POLLER),
    gone("kqueue", POLLER),
    Row { letter: Some('P'), ..gone("poll", POLLER) },
    gone("select", POLLER),
    gone_option("-D", 'D', DELAYED),
    gone_option("-N", 'N', "To choose by hash and forget clients, give `-h -r`."),
    gone_option("-Q", 'Q', POLLER),
    Row {
        args: &[arg("N", Complete::Number)],
        ..gone_option("-S", 'S', "Room for servers is made as needed.")
    },
    Row { args: &[arg("NAME", Complete::Text)], ..gone_option("-i", 'i', "Belongs to Windows services.") },
    gone_option("-n", 'n', BLOCKING),
];
