//! The rows of the command table, a file for each heading: data only. `write` saves and help lists them in this order.
//!
//! This file owns what the files share, and puts them together.

mod access;
mod checks;
mod choosing;
mod connections;
mod control;
mod load;
mod logs;
mod obsolete;
mod process;
mod server_keys;
mod tls;
mod udp;

pub use logs::DEBUG_LEVELS;
pub use server_keys::SERVER_KEYS;

use super::{Answer, Arg, Complete, Flag, From, Group, Kind, Number, Row, Scope, Text, When};
use crate::addr::file_name;

/// Every command and option, once.
pub static ROWS: &[Row] = &concatenated();

const PARTS: &[&[Row]] = &[
    choosing::ROWS,
    checks::ROWS,
    load::ROWS,
    connections::ROWS,
    udp::ROWS,
    access::ROWS,
    logs::ROWS,
    control::ROWS,
    process::ROWS,
    tls::ROWS,
    obsolete::ROWS,
];

const COUNT: usize = {
    let (mut count, mut part) = (0, 0);
    while part < PARTS.len() {
        count += PARTS[part].len();
        part += 1;
    }
    count
};

/// At compile time, where there are no iterators.
const fn concatenated() -> [Row; COUNT] {
    let mut rows = [LIVE; COUNT];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut index = 0;
        while index < PARTS[part].len() {
            rows[at] = PARTS[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    rows
}

/// What most rows share.
const LIVE: Row = Row {
    word: "",
    group: Group::Control,
    letter: None,
    long: None,
    no: false,
    args: &[],
    no_args: &[],
    scope: Scope::Service,
    kind: Kind::OptionOnly,
    also: &[],
    when: When::Live,
    unit: "",
    summary: "",
    detail: "",
    from: From::Pen,
    since: "",
};
/// New in the first version of this pen.
const NEW: Row = Row { from: From::Here, since: "0.1.0", ..LIVE };

const NUMBER: &[Arg] = &[optional("N", Complete::Number)];
const SECONDS: &[Arg] = &[optional("SECONDS", Complete::Number)];
const JSON: &[Arg] = &[optional("json", Complete::Words(&["json"]))];
const FILE: &[Arg] = &[arg("FILE", Complete::Path)];
const OPTIONAL_FILE: &[Arg] = &[optional("FILE", Complete::Path)];

const fn arg(name: &'static str, complete: Complete) -> Arg {
    Arg { name, optional: false, complete }
}

const fn optional(name: &'static str, complete: Complete) -> Arg {
    Arg { name, optional: true, complete }
}

/// Off unless switched on.
const fn flag(flag: Flag) -> Kind {
    Kind::Flag { flag, default: false }
}

const fn number(number: Number, min: u64, max: u64, default: u64) -> Kind {
    Kind::Number { number, min, max, default, answer: Answer::Value }
}

/// The name of a file or directory.
const fn file(text: Text, answer: Answer) -> Kind {
    Kind::Text { text, read: |word| file_name(word).map(str::to_owned), answer }
}

/// Whatever is given.
const fn text(text: Text) -> Kind {
    Kind::Text { text, read: |word| Ok(word.to_owned()), answer: Answer::Silent }
}
