//! How far a command reaches: what somebody needs to be trusted with who may give it.
//!
//! For programs that let others give commands, such as penctl-cgi. pen itself knows who may talk to it, not who may say
//! what.

use super::{Action, Command, Line, Listing, Question};

/// In the order of what they can do; who may do one may do those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Shows something. Changes nothing, not even a file.
    Asks,
    /// Changes servers, or closes a connection: the work of a day. Touches no file.
    Servers,
    /// Anything: settings, listeners, files that are read and written, the end of pen.
    Everything,
}

impl Reach {
    /// Every value with the word for it.
    pub const WORDS: [(&'static str, Reach); 3] =
        [("read", Reach::Asks), ("servers", Reach::Servers), ("all", Reach::Everything)];
}

impl Line {
    /// What it needs to be trusted with, whatever service it is for.
    pub fn reach(&self) -> Reach {
        self.command.as_ref().map_or(Reach::Asks, Command::reach)
    }
}

impl Command {
    /// What it needs to be trusted with.
    pub fn reach(&self) -> Reach {
        match self {
            // In text, `status` also writes the file of `web_stats`.
            Command::Ask(Question::Status(Listing::Text)) => Reach::Everything,
            Command::Ask(_) | Command::Show(_) | Command::List(_) | Command::Explained(_) => Reach::Asks,
            Command::Server { .. }
            | Command::AddServer { .. }
            | Command::ServerDeed { .. }
            | Command::Group { .. }
            | Command::Do(Action::Close(_)) => Reach::Servers,
            Command::Set(_)
            | Command::Unset(_)
            | Command::Add(_)
            | Command::Remove(_)
            | Command::Clear(_)
            | Command::Service(_)
            | Command::Do(_) => Reach::Everything,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_line;

    #[test]
    fn nothing_that_changes_something_is_a_question() {
        for (reach, lines) in [
            (
                Reach::Asks,
                &[
                    "servers",
                    "servers json",
                    "blacklist",
                    "mode",
                    "help",
                    "log",
                    "listen",
                    "no block",
                    "status json",
                ][..],
            ),
            (
                Reach::Servers,
                &["server 0 blacklist 30", "server 3 address 10.0.0.1 port 80", "close 7", "group blue use"],
            ),
            (
                Reach::Everything,
                &[
                    "blacklist 30",
                    "hash",
                    "no hash",
                    "acl 1 permit 10.0.0.0/8",
                    "no acl 1",
                    "include a.conf",
                    "listen 80",
                    "log a.log",
                    "no log",
                    "log_format json",
                    "geoip a.mmdb",
                    "no geoip",
                    "source 10.0.0.1",
                    "status",
                    "tcp_fastclose up",
                    "web_stats a.html",
                    "write",
                    "exit",
                    "session",
                ],
            ),
        ] {
            for line in lines {
                let command = parse_line(line).expect(line).expect("a command");
                assert_eq!(command.reach(), reach, "{line}");
            }
        }
        assert!(Reach::Asks < Reach::Servers && Reach::Servers < Reach::Everything);
    }
}
