//! The TLS commands, read word by word. Called by the parser only.

use super::{Parsed, Words};
use crate::addr::{path_word, quoted};
use crate::commands::{Command, SECONDS_MAX, ServerTls, SniNames, TlsOption, TlsText, host_name, protocols};

const NEVER_SPOKEN: &str = "SSL and TLS 1.0 and 1.1 are never spoken.";
const ANY_PROTOCOL: &str = "TLS 1.2 and 1.3 are spoken, as with the original; ssl_option excludes one.";
const NO_RENEGOTIATION: &str = "No client can renegotiate, so there is nothing to limit.";

/// A setting that is a text: its new value, or the question for it.
pub fn text(word: &str, words: &mut Words) -> Parsed<Command> {
    let Some(text) = TlsText::of(word) else { unreachable!("the row {word} has no parser") };
    let Some(value) = words.next() else { return Ok(Command::Ssl(text, None)) };
    if text.is_path() {
        words.checked(path_word(value))?;
    }
    if text == TlsText::Alpn {
        words.checked(protocols(value))?;
    }
    Ok(Command::Ssl(text, Some(value.to_owned())))
}

pub fn unset(word: &str, words: &mut Words) -> Parsed<Command> {
    TlsText::of(word).map(Command::NoSsl).ok_or_else(|| words.error("cannot be negated"))
}

pub fn option(words: &mut Words, on: bool) -> Parsed<Command> {
    let names: Vec<_> = TlsOption::NEVER.into_iter().chain(TlsOption::WORDS.map(|(name, _)| name)).collect();
    let want = names.join(" or ");
    let word = words.need(&want)?;
    if TlsOption::NEVER.contains(&word) {
        return Ok(Command::Explained(NEVER_SPOKEN));
    }
    match TlsOption::WORDS.iter().find(|(name, _)| *name == word) {
        Some((_, option)) => Ok(Command::SslOption(*option, on)),
        None => Err(words.error(&format!("want {want}, got {}", quoted(word)))),
    }
}

/// `-L`, with the original's words and complaint.
pub fn protocol(words: &mut Words) -> Parsed<Command> {
    match words.need("ssl23 or ssl2 or ssl3 or tls1")? {
        "ssl23" | "ssl2" | "ssl3" | "tls1" => Ok(Command::Explained(ANY_PROTOCOL)),
        word => Err(words.error(&format!(
            "protocol version {} not known; want ssl23 or ssl2 or ssl3 or tls1",
            quoted(word)
        ))),
    }
}

pub fn renegotiation(words: &mut Words) -> Parsed<Command> {
    words.need_number(0, SECONDS_MAX, "seconds")?;
    Ok(Command::Explained(NO_RENEGOTIATION))
}

pub fn sni(words: &mut Words) -> Parsed<SniNames> {
    let names = SniNames::parse(words.need("host names with commas between them, or any")?);
    words.checked(names)
}

/// `verify`, `noverify` or `off`; then a name and `certificate FILE`, unless what follows is another key.
pub fn server(words: &mut Words) -> Parsed<ServerTls> {
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
            words.checked(path_word(file))?;
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
