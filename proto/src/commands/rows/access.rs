//! The rows about who may connect.

use super::{OPTIONAL_FILE, arg, file, number, optional};
use crate::commands::{ACL_LAST, Answer, Arg, Complete, Group, Kind, List, Number, Row, Scope, Text};

const LIVE: Row = Row { group: Group::Access, ..super::LIVE };
const NEW: Row = Row { group: Group::Access, ..super::NEW };

const LISTS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const LIST: &[Arg] = &[optional("N", Complete::Words(LISTS))];

pub const ROWS: &[Row] = &[
    Row {
        word: "acl",
        no: true,
        args: &[
            arg("N", Complete::Words(LISTS)),
            arg("permit|deny", Complete::Words(&["permit", "deny"])),
            arg("ADDRESS[/LENGTH]", Complete::Address),
            optional("MASK", Complete::Address),
        ],
        no_args: &[arg("N", Complete::Words(LISTS))],
        scope: Scope::Process,
        kind: Kind::List(List::Acl),
        summary: "add an entry to an access list",
        detail: "The first entry that matches a client decides. When none matches, the client gets the \
                 opposite of the last entry. An empty list permits everybody. `no acl N` empties list N. \
                 Write IPv4 networks as `10.0.0.0/8` or `10.0.0.0 255.0.0.0`, IPv6 networks as \
                 `2001:db8::/32`; `::ffff:10.0.0.0/104` is the IPv4 network. `country SE` matches clients \
                 that `geoip` finds in Sweden, `registered_country SE` clients whose network is registered \
                 there, wherever it is used. A list has an effect only where a setting names it: \
                 `client_acl`, `control_acl`, `tarpit_acl` and `server N acl`.",
        ..LIVE
    },
    Row {
        word: "client_acl",
        args: LIST,
        kind: number(Number::ClientAcl, 0, 9, 0),
        summary: "access list that clients must pass",
        detail: "pen closes a client that does not pass, or sends it to the abuse server (`-B`).",
        ..LIVE
    },
    Row {
        word: "control_acl",
        args: LIST,
        scope: Scope::Process,
        kind: number(Number::ControlAcl, 0, 9, 0),
        summary: "access list that control clients must pass",
        detail: "Control clients that come through a Unix socket always pass: the permissions of the file \
                 decide.",
        ..LIVE
    },
    Row {
        word: "tarpit_acl",
        no: true,
        args: &[optional("N", Complete::Words(&["-1", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]))],
        kind: Kind::Number {
            number: Number::TarpitAcl,
            min: 0,
            max: ACL_LAST as u64,
            default: Number::NONE,
            answer: Answer::OrNone,
        },
        summary: "access list of unused addresses in which connections get stuck; -1: none",
        detail: "Works only with `dsr_if`. pen answers ARP and neighbour discovery for every address that \
                 list N permits, accepts connections to it and never serves them: worms and scanners lose \
                 their time there. pen never takes the addresses of its own host, of the service or of the \
                 servers, nor an address that another host announces as its own. List no other address that \
                 is in use. An empty list takes no address, and a list takes IPv6 addresses only if it has \
                 an entry for IPv6.",
        ..LIVE
    },
    Row {
        word: "geoip",
        no: true,
        args: OPTIONAL_FILE,
        scope: Scope::Process,
        kind: file(Text::Geoip, Answer::Value),
        summary: "file that tells the countries of addresses",
        detail: "A database in MaxMind's format, such as GeoLite2-Country.mmdb, for `acl N permit|deny \
                 country CC` and `registered_country CC`. pen takes the country code from \
                 `country.iso_code`, else from `country_code`, else from `country`; and the other from \
                 `registered_country.iso_code`. pen holds the file in memory. To use a newer one, replace \
                 the file and send HUP, or give the command again. When pen cannot use a file, it keeps the \
                 data that it has. An address that is not in the file, and every address after `no geoip`, \
                 is in no country and matches no such entry.",
        ..NEW
    },
];
