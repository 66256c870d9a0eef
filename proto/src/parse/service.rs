//! `service NAME`, before a command or alone, and `service add|remove NAME`.

use super::words::Words;
use super::{Parsed, command};
use crate::addr::quoted;
use crate::commands::{Command, Kind, Line, ServiceChange, row};
use crate::names::Name;

const ADD: &str = "add";
const REMOVE: &str = "remove";
const NOW: &str = "now";

/// What follows the word `service`.
pub fn service(words: &mut Words) -> Parsed<Line> {
    words.place = "service".to_owned();
    if let Some(change) = change(words)? {
        return Ok(Line { service: None, command: Some(Command::Service(change)) });
    }
    let name = words.need("a name, add or remove")?;
    let name = words.checked(Name::parse(name))?;
    let Some(word) = words.next() else { return Ok(Line { service: Some(name), command: None }) };
    words.place = format!("service {name}");
    if row(word).is_some_and(|row| matches!(row.kind, Kind::Service)) {
        return Err(words.error(&format!("want a command of the service, got {}", quoted(word))));
    }
    let command = command(word, words).map_err(|error| error.within(&format!("service {name}")))?;
    words.place = format!("service {name}: {}", words.place);
    Ok(Line { service: Some(name), command: Some(command) })
}

/// What makes a service or takes one away, if that is what follows.
fn change(words: &mut Words) -> Parsed<Option<ServiceChange>> {
    match words.peek() {
        Some(ADD) => {
            words.next();
            Ok(Some(ServiceChange::Add(name(words, ADD)?)))
        }
        Some(REMOVE) => {
            words.next();
            let name = name(words, REMOVE)?;
            let now = words.choice(&[(NOW, true)])?.unwrap_or(false);
            Ok(Some(ServiceChange::Remove { name, now }))
        }
        _ => Ok(None),
    }
}

fn name(words: &mut Words, what: &str) -> Parsed<Name> {
    words.place = format!("service {what}");
    let name = words.need("a name")?;
    words.checked(Name::parse(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Flag, Number};
    use crate::words::split;

    /// What follows the word `service`.
    fn read(text: &str) -> Result<Line, String> {
        let line = split(text).expect("words");
        let mut words = Words::new(String::new(), &line);
        let line = service(&mut words).and_then(|line| words.end().map(|()| line));
        line.map_err(|error| error.to_string())
    }

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    #[test]
    fn a_line_is_for_the_service_that_it_names() {
        let of = |service: &str, command| Line { service: Some(name(service)), command };
        assert_eq!(read("web"), Ok(of("web", None)));
        assert_eq!(read("web # all that follows"), Ok(of("web", None)));
        assert_eq!(read("web no hash"), Ok(of("web", Some(Command::flag(Flag::Hash, false)))));
        let blacklist = Command::number(Number::Blacklist, 7);
        assert_eq!(read("a.b-c_1 blacklist 7"), Ok(of("a.b-c_1", Some(blacklist))));
    }

    #[test]
    fn services_come_and_go() {
        let change = |change| Ok(Line { service: None, command: Some(Command::Service(change)) });
        assert_eq!(read("add web"), change(ServiceChange::Add(name("web"))));
        let remove = |now| ServiceChange::Remove { name: name("web"), now };
        assert_eq!(read("remove web"), change(remove(false)));
        assert_eq!(read("remove web now"), change(remove(true)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_service() {
        for (line, message) in [
            ("", "service: want a name, add or remove, got nothing"),
            ("all", r#"service: want another name than add, all, json, remove, got "all""#),
            (
                "1",
                r#"service: want a name, a letter and then letters, digits, -, _ or ., 63 at most, got "1""#,
            ),
            ("add", "service add: want a name, got nothing"),
            ("add web 1", r#"service add: nothing may follow here, got "1""#),
            ("remove web later", r#"service remove: want now, got "later""#),
            ("web blaklist", r#"service web: "blaklist": no such command; did you mean "blacklist"?"#),
            ("web blacklist x", r#"service web: blacklist: want 0..1000000000 seconds, got "x""#),
            ("web hash on", r#"service web: hash: nothing may follow here, got "on""#),
            ("web no", "service web: no: want a command, got nothing"),
        ] {
            assert_eq!(read(line).unwrap_err(), message, "{line}");
        }
    }
}
