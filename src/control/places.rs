//! Where the lines of the configuration file stand, for errors that come up when all of them have been carried out: a host
//! that nobody knows, a service that is not there, a file that cannot be read.

use super::names::names_in;
use super::request::Placed;
use crate::config::Place;
use crate::settings::MAIN;
use pen_proto::commands::{Command, Entry, Scope};
use pen_proto::names::ServerRef;
use std::collections::HashMap;

/// The last line of each setting, server and host name.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// By service, or nothing for the process, and by what an error about it begins with.
    lines: HashMap<(String, String), Place>,
    hosts: HashMap<String, Place>,
}

impl Places {
    pub fn of(commands: &[Placed]) -> Places {
        let mut places = Places::default();
        commands.iter().for_each(|placed| places.add(placed));
        places
    }

    fn add(&mut self, placed: &Placed) {
        let Some(place) = &placed.place else { return };
        for host in names_in(&placed.command) {
            self.hosts.insert(host, place.clone());
        }
        let word = match &placed.command {
            Command::Set(assignment) => assignment.setting().row().word.to_owned(),
            Command::Server { server: ServerRef::Number(number), .. } => format!("server {number}"),
            Command::Server { server: ServerRef::Name(name), .. } => format!("server {name}"),
            Command::AddServer { name: Some(name), .. } => format!("server {name}"),
            Command::Add(Entry::Listen(_)) => "listen".into(),
            _ => return,
        };
        let of_process = placed.command.row().is_none_or(|row| row.scope == Scope::Process);
        let service = match (&placed.service, of_process) {
            (_, true) => String::new(),
            (None, false) => MAIN.to_owned(),
            (Some(service), false) => service.to_string(),
        };
        self.lines.insert((service, word), place.clone());
    }

    /// What is wrong with a host name, with the line that names it.
    pub fn of_host(&self, name: &str, trouble: String) -> String {
        match self.hosts.get(name) {
            Some(place) => format!("{place}: {trouble}"),
            None => trouble,
        }
    }

    /// Every line of `trouble` that is about something which the file says, with where it says it.
    pub fn locate(&self, trouble: &str) -> String {
        let located = |line: &str| match self.find(line) {
            Some(place) => format!("{place}: {line}"),
            None => line.to_owned(),
        };
        trouble.lines().map(located).collect::<Vec<_>>().join("\n")
    }

    fn find(&self, line: &str) -> Option<&Place> {
        let service = line.strip_prefix("service ").and_then(|rest| rest.split_once(": "));
        let (service, rest) = service.unwrap_or((MAIN, line));
        let word = rest.split(": ").next()?;
        let of = |service: &str| self.lines.get(&(service.to_owned(), word.to_owned()));
        of(service).or_else(|| of(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::apply::Request;
    use crate::reload::request_of;
    use crate::tempdir::TempDir;

    #[test]
    fn trouble_is_led_to_the_line_that_it_is_about() {
        let directory = TempDir::new();
        let file = directory.join("f").display().to_string();
        let text = "ssl_certificate /a\nserver 0 address nowhere\ngeoip /g\nservice web\nserver add b=elsewhere\n\
                    clients_from nobody\nlisten add :81\n";
        std::fs::write(&file, text).unwrap();
        let Request { commands, .. } = request_of(&file).unwrap();
        let places = Places::of(&commands);
        for (trouble, line) in [
            ("ssl_certificate: /a: no such file", Some(1)),
            ("server 0: port: want", Some(2)),
            ("geoip: /g: broken", Some(3)),
            ("service web: server b: tls", Some(5)),
            ("service web: clients_from: nobody", Some(6)),
            ("service web: listen: taken", Some(7)),
            ("service web: geoip: whatever", Some(3)),
            ("clients_from: of main", None),
            ("anything else", None),
        ] {
            let expected = line.map(|line| format!("{file}:{line}: ")).unwrap_or_default() + trouble;
            assert_eq!(places.locate(trouble), expected);
        }
        assert_eq!(places.of_host("elsewhere", "unknown".into()), format!("{file}:5: unknown"));
        assert_eq!(places.of_host("far", "unknown".into()), "unknown");
    }
}
