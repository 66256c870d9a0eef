//! Who may give commands on a control socket, and who may only look.
//!
//! Owns the users and the group that may do everything. Whoever else connects to a Unix socket may ask what
//! [`Reach::Asks`] allows. On the network nobody is known, and whoever `control_acl` lets in may do everything.

use super::request::Request;
use crate::sys::peer;
use nix::unistd::{Gid, Uid, geteuid};
use pen_proto::commands::{Command, Reach};
use pen_proto::parse;
use std::os::fd::BorrowedFd;

/// Those who may do everything.
pub struct Rights {
    users: Vec<Uid>,
    group: Option<Gid>,
    /// Who they are, in words.
    who: String,
}

impl Rights {
    /// Root and the user of this process; the user of `-u` and the group of `control_group`, with their names.
    pub fn new(account: Option<(&str, Uid)>, group: Option<(&str, Gid)>) -> Rights {
        let own = geteuid();
        let mut users = vec![Uid::from_raw(0), own];
        let mut who = String::from("root");
        if !own.is_root() {
            who += ", the user that started pen";
        }
        if let Some((name, uid)) = account.filter(|(_, uid)| !users.contains(uid)) {
            users.push(uid);
            who += &format!(", {name}");
        }
        if let Some((name, _)) = group {
            who += &format!(", a member of the group {name}");
        }
        Rights { users, group: group.map(|(_, gid)| gid), who }
    }

    /// For tests: whoever connects may only look.
    #[cfg(test)]
    pub fn of_nobody() -> Rights {
        Rights { users: Vec::new(), group: None, who: "nobody".into() }
    }

    /// What the peer of a Unix socket may do. One that the system does not know may only look.
    pub fn of(&self, socket: BorrowedFd<'_>) -> Reach {
        let is_user = peer::user_of(socket).is_ok_and(|user| self.users.contains(&user));
        let is_member = || self.group.is_some_and(|group| peer::is_in_group(socket, group).unwrap_or(false));
        if is_user || is_member() { Reach::Everything } else { Reach::Asks }
    }

    /// Whether who has this reach may say the line. A line that cannot be read changes nothing and is answered so.
    ///
    /// # Errors
    /// The command, and who may give it.
    pub fn check_line(&self, line: &str, reach: Reach) -> Result<(), String> {
        match parse::line(line) {
            Ok(Some(line)) => line.command.map_or(Ok(()), |command| self.check(&command, reach)),
            _ => Ok(()),
        }
    }

    /// The same for what a line has become, be it in the language of another program.
    ///
    /// # Errors
    /// As [`Rights::check_line`].
    pub fn check_request(&self, request: Request, reach: Reach) -> Result<Request, String> {
        request.commands.iter().try_for_each(|placed| self.check(&placed.command, reach))?;
        Ok(request)
    }

    fn check(&self, command: &Command, reach: Reach) -> Result<(), String> {
        // It lets say more, which is checked line by line.
        let opens_session = matches!(command, Command::Do(pen_proto::commands::Action::Session));
        if command.reach() <= reach || opens_session {
            return Ok(());
        }
        let word = command.row().map_or("command", |row| row.word);
        Err(format!("{word}: you may only look here: want {}", self.who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_only_looks_is_told_who_may_do_more() {
        let rights = Rights {
            users: vec![Uid::from_raw(0)],
            group: None,
            who: "root, a member of the group ops".into(),
        };
        for line in
            ["servers", "service web servers json", "blacklist", "session", "service web", "", "bogus"]
        {
            assert_eq!(rights.check_line(line, Reach::Asks), Ok(()), "{line}");
        }
        for (line, word) in [
            ("server 1 drain", "server"),
            ("service web blacklist 30", "blacklist"),
            ("include /etc/shadow", "include"),
            ("status", "status"),
            ("no hash", "hash"),
            ("service add web", "service"),
            ("exit", "exit"),
        ] {
            let refusal = format!("{word}: you may only look here: want root, a member of the group ops");
            assert_eq!(rights.check_line(line, Reach::Asks), Err(refusal), "{line}");
            assert_eq!(rights.check_line(line, Reach::Everything), Ok(()), "{line}");
        }
    }

    #[test]
    fn users_and_members_may_do_everything() {
        let (near, _far) = UnixStream::pair().unwrap();
        let rights = |users: &[u32], group: Option<Gid>| Rights {
            users: users.iter().copied().map(Uid::from_raw).collect(),
            group,
            who: String::new(),
        };
        let (own, other) = (geteuid().as_raw(), geteuid().as_raw() + 1);
        let (member, stranger) = (nix::unistd::getegid(), Gid::from_raw(3_999_999_999));
        for (users, group, reach) in [
            (own, None, Reach::Everything),
            (other, None, Reach::Asks),
            (other, Some(member), Reach::Everything),
            (other, Some(stranger), Reach::Asks),
        ] {
            assert_eq!(rights(&[users], group).of(near.as_fd()), reach, "{users} {group:?}");
        }
        assert_eq!(Rights::new(None, None).of(near.as_fd()), Reach::Everything);
    }
}
