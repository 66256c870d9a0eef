//! `server N KEY VALUE...`, `server add`, and what becomes of a server as a whole.

use super::words::Words;
use super::{ParseError, Parsed, Unknown, keys, similar};
use crate::addr::{Host, Port, ServerSpec, file_name, quoted};
use crate::commands::{
    Check, Command, LoadSource, ProxyHeader, Role, SECONDS_MAX, SERVER_KEYS, SERVER_LAST, ServerChange,
    ServerDeed, ServerKey, ServerTls, ServerValue, SniNames, YES_NO, host_name,
};
use crate::load::Load;
use crate::names::{Name, ServerRef, with_name};
use crate::seconds::Seconds;
use crate::weight::{WEIGHT_MAX, Weight};

const ADD: &str = "add";
const ALL: &str = "all";
const NOW: &str = "now";

pub fn server(words: &mut Words) -> Parsed<Command> {
    match words.need(&format!("0..{SERVER_LAST} or a name"))? {
        ADD => add(words),
        ALL => {
            words.place = format!("server {ALL}");
            let want = ServerDeed::OF_ALL.join(" or ");
            let word = words.need(&want)?;
            match ServerDeed::OF_ALL.contains(&word) {
                true => Ok(Command::ServerDeed { server: None, deed: deed(word, words)? }),
                false => Err(words.error(&format!("want {want}, got {}", quoted(word)))),
            }
        }
        word => {
            let server = words.checked(ServerRef::parse(word))?;
            words.place = format!("server {server}");
            if let Some(word) = words.peek().filter(|word| ServerDeed::WORDS.contains(word)) {
                words.next();
                return Ok(Command::ServerDeed { server: Some(server), deed: deed(word, words)? });
            }
            let changes = changes(words)?;
            match changes.is_empty() {
                true => Err(words.error(&format!("want {}, got nothing", key_names(true)))),
                false => Ok(Command::Server { server, changes }),
            }
        }
    }
}

/// `server add [NAME=]HOST[:PORT...] [KEY VALUE]...`.
fn add(words: &mut Words) -> Parsed<Command> {
    words.place = format!("server {ADD}");
    let word = words.need("HOST[:PORT] or NAME=HOST[:PORT]")?;
    let (name, spec) = words.checked(with_name(word))?;
    let spec = words.checked(ServerSpec::parse(spec))?;
    Ok(Command::AddServer { name, spec, changes: changes(words)? })
}

/// The word is one of [`ServerDeed::WORDS`].
fn deed(word: &str, words: &mut Words) -> Parsed<ServerDeed> {
    words.place = format!("{} {word}", words.place);
    Ok(match word {
        "enable" => ServerDeed::Enable,
        "disable" => ServerDeed::Disable,
        "reset" => ServerDeed::Reset,
        "drain" => {
            let seconds = words.next().map(|word| words.number(word, 0, SECONDS_MAX, "seconds"));
            // The bound makes it fit.
            ServerDeed::Drain(seconds.transpose()?.map(|seconds| seconds as u32))
        }
        _ => ServerDeed::Remove { now: words.choice(&[(NOW, true)])?.unwrap_or(false) },
    })
}

/// Pairs of key and value.
fn changes(words: &mut Words) -> Parsed<Vec<ServerChange>> {
    let place = words.place.clone();
    let (mut changes, mut is_unix) = (Vec::new(), false);
    while let Some(word) = words.next() {
        let Some(key) = SERVER_KEYS.iter().find(|key| key.word == word) else {
            return Err(unknown_key(word, words, changes.is_empty()));
        };
        words.place = format!("{place}: {word}");
        // Pen's scripts give a Unix socket the port 0.
        if is_unix && matches!(key.value, ServerValue::Port(_)) && words.peek() == Some("0") {
            words.next();
            continue;
        }
        changes.push(server_change(key, words)?);
        if let Some(ServerChange::Address(host)) = changes.last() {
            is_unix = host.is_unix();
        }
        words.place.clone_from(&place);
    }
    Ok(changes)
}

fn server_change(key: &ServerKey, words: &mut Words) -> Parsed<ServerChange> {
    match key.value {
        ServerValue::Address(change) => {
            let host = Host::parse_server(words.need("an address")?).map(change);
            words.checked(host.map_err(|reason| without_name(&reason, "address")))
        }
        ServerValue::Port(change) => {
            let port = Port::parse(words.need("a port")?).map(change);
            words.checked(port.map_err(|reason| without_name(&reason, "port")))
        }
        ServerValue::Proxy(change) => match words.choice(&ProxyHeader::WORDS)? {
            Some(header) => Ok(change(header)),
            None => Err(words.error("want v1 or v2 or v2-ssl or none, got nothing")),
        },
        ServerValue::Role(change) => match words.choice(&Role::WORDS)? {
            Some(role) => Ok(change(role)),
            None => Err(words.error("want member or clone, got nothing")),
        },
        ServerValue::Ip(change) => match words.need("an IP address or none")? {
            ServerValue::NO_ADDRESS => Ok(change(None)),
            word => match word.parse() {
                Ok(ip) => Ok(change(Some(ip))),
                Err(_) => Err(words.error(&format!("want an IP address or none, got {}", quoted(word)))),
            },
        },
        ServerValue::Weight(change) => {
            let weight = Weight::parse(words.need(&format!("0..{WEIGHT_MAX}"))?).map(change);
            words.checked(weight)
        }
        // The bound makes it fit.
        ServerValue::Number { min, max, unit, change } => {
            Ok(change(words.need_number(min.into(), max.into(), unit)? as u32))
        }
        ServerValue::Seconds { min_ms, max_ms, change } => {
            let word = words.need("seconds")?;
            words.checked(Seconds::parse(word, min_ms, max_ms)).map(change)
        }
        ServerValue::Check(change) => {
            let check = Check::read(words.take_rest());
            words.checked(check).map(change)
        }
        ServerValue::YesNo(change) => match words.choice(&YES_NO)? {
            Some(yes) => Ok(change(yes)),
            None => Err(words.error("want yes or no, got nothing")),
        },
        ServerValue::Decimal { max, change } => {
            let word = words.need("a number")?;
            words.checked(Load::parse(word, max)).map(change)
        }
        ServerValue::Load(change) => {
            let source = LoadSource::read(words.take_rest());
            words.checked(source).map(change)
        }
        ServerValue::Name(change) => {
            let name = Name::parse(words.need("a name")?).map(change);
            words.checked(name)
        }
        ServerValue::Group(change) => match words.need("the name of a group, or all")? {
            ALL => Ok(change(None)),
            word => words.checked(Name::parse(word)).map(|name| change(Some(name))),
        },
        ServerValue::Sni(change) => sni(words).map(change),
        ServerValue::Tls(change) => tls(words).map(change),
    }
}

/// The reason without the name of the part, which the place has already.
fn without_name(reason: &str, name: &str) -> String {
    let rest = reason.strip_prefix(name).and_then(|rest| rest.strip_prefix(": "));
    rest.unwrap_or(reason).to_owned()
}

/// What may follow a server: behind its number, words that stand alone too.
fn key_names(is_first: bool) -> String {
    let deeds = ServerDeed::WORDS.into_iter().filter(|_| is_first);
    deeds.chain(keys()).collect::<Vec<_>>().join(" or ")
}

fn unknown_key(word: &str, words: &Words, is_first: bool) -> ParseError {
    let message = format!("want {}, got {}", key_names(is_first), quoted(word));
    ParseError { unknown: similar(word).map(Unknown::Key), ..words.error(&message) }
}

fn sni(words: &mut Words) -> Parsed<SniNames> {
    let names = SniNames::parse(words.need("host names with commas between them, or any")?);
    words.checked(names)
}

/// `verify`, `noverify` or `off`; then a name and `certificate FILE`, unless what follows is another key.
fn tls(words: &mut Words) -> Parsed<ServerTls> {
    let want = ServerTls::MODES.join(" or ");
    let verify = match words.need(&want)? {
        "verify" => true,
        "noverify" => false,
        "off" => return Ok(ServerTls::Off),
        word => return Err(words.error(&format!("want {want}, got {}", quoted(word)))),
    };
    let name = server_name(words)?;
    let certificate = match words.peek() {
        Some(ServerTls::CERTIFICATE) => {
            words.next();
            let file = words.need("the file of a certificate and its key")?;
            words.checked(file_name(file))?;
            Some(file.to_owned())
        }
        _ => None,
    };
    Ok(ServerTls::On { verify, name, certificate })
}

fn server_name(words: &mut Words) -> Parsed<Option<String>> {
    let Some(word) = words.peek().filter(|word| !ServerTls::is_word(word)) else { return Ok(None) };
    words.next();
    match host_name(word) {
        Some(name) => Ok(Some(name)),
        None => Err(words.error(&format!("want a host name, got {}", quoted(word)))),
    }
}
