//! Which lines a user may say. Pure: the command table knows how far each command reaches, and penctl-cgi asks it too.

use crate::users::Access;
use pen_proto::commands::{Action, Command, Line, Reach};
use pen_proto::parse;

/// The longest line that is taken from a user.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It shows something.
    Looks,
    /// It changes something, which belongs into the audit file.
    Changes,
}

/// Why a line does not go to pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is no line that makes sense here.
    Wrong(String),
    /// It is for others.
    Forbidden(String),
}

/// Whether a user with this access may say the line, and what it does.
///
/// A line that this program does not understand, because pen is newer or older, is taken for one that changes something:
/// pen itself has the last word on it.
///
/// # Errors
/// Why it does not go to pen.
pub fn judge(access: Access, line: &str) -> Result<Effect, Refusal> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Refusal::Wrong(format!("want a line of at most {LINE_BYTES_MAX} bytes")));
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err(Refusal::Wrong("want one line".into()));
    }
    let effect = match parse::line(line) {
        Ok(None) => return Err(Refusal::Wrong("want a command".into())),
        Ok(Some(Line { service: Some(_), command: None })) => {
            return Err(Refusal::Wrong("want a command after the service: no lines follow".into()));
        }
        Ok(Some(Line { command: Some(Command::Do(Action::Session)), .. })) => {
            return Err(Refusal::Wrong("session: want a command that ends".into()));
        }
        Ok(Some(parsed)) if parsed.reach() == Reach::Asks => Effect::Looks,
        Ok(Some(_)) => Effect::Changes,
        // What is wrong with it is of more use than that it is forbidden.
        Err(error) if access < Access::Full => return Err(Refusal::Wrong(error.to_string())),
        Err(_) => Effect::Changes,
    };
    match (access, effect) {
        (Access::ReadOnly, Effect::Changes) => {
            Err(Refusal::Forbidden("a user with access \"readonly\" may only look".into()))
        }
        _ => Ok(effect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_only_look_changes_nothing() {
        for line in ["servers", "services json", "service main servers json", "blacklist", "help", "mode"] {
            assert_eq!(judge(Access::ReadOnly, line), Ok(Effect::Looks), "{line}");
            assert_eq!(judge(Access::Full, line), Ok(Effect::Looks), "{line}");
        }
        for line in [
            "server 0 disable",
            "service main server 0 weight 3",
            "service add web",
            "write",
            "blacklist 30",
            "status",
            "include /etc/passwd",
            "exit",
            "reload",
            "10.0.0.1:80:2",
        ] {
            assert!(
                matches!(judge(Access::ReadOnly, line), Err(Refusal::Forbidden(_) | Refusal::Wrong(_))),
                "{line}"
            );
            assert_eq!(judge(Access::Full, line), Ok(Effect::Changes), "{line}");
        }
    }

    #[test]
    fn what_is_no_line_goes_nowhere() {
        for line in
            ["", "  ", "# remark", "servers\nexit", "servers\rexit", "a\0b", "session", "service main"]
        {
            for access in [Access::ReadOnly, Access::Full] {
                assert!(matches!(judge(access, line), Err(Refusal::Wrong(_))), "{line:?}");
            }
        }
        assert!(judge(Access::Full, &"a".repeat(LINE_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_line_that_is_not_understood_is_for_those_who_may_change() {
        assert_eq!(judge(Access::Full, "frobnicate 3"), Ok(Effect::Changes));
        assert!(matches!(judge(Access::ReadOnly, "frobnicate 3"), Err(Refusal::Wrong(_))));
    }
}
