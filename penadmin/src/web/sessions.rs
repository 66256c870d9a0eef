//! Who has logged in: sessions, their cookies and their tokens against forged requests. Pure: time is an argument.

use std::collections::HashMap;
use std::io;

/// A session ends when nothing was done in it for so long.
pub const IDLE_MS: u64 = 30 * 60 * 1000;
/// And after that, whatever was done in it.
pub const WHOLE_MS: u64 = 12 * 60 * 60 * 1000;
/// Sessions of one user; for one more the oldest ends.
const OF_USER_MAX: usize = 16;
/// Sessions of all users; for one more the oldest ends.
const ALL_MAX: usize = 1024;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub name: String,
    /// What the page must send with everything that changes something.
    pub csrf: String,
    /// The hash of the password that opened it: another password ends it.
    pub hash: String,
    began_ms: u64,
    used_ms: u64,
}

/// All sessions, by the secret in the cookie.
#[derive(Debug, Default)]
pub struct Sessions(HashMap<String, Session>);

/// A secret that nobody can guess, in 64 letters.
///
/// # Errors
/// The system has no random numbers.
pub fn secret() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Sessions {
    /// Opens a session and returns the secret for its cookie.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn open(&mut self, name: &str, hash: &str, now_ms: u64) -> io::Result<(String, Session)> {
        self.0.retain(|_, session| session.is_alive(now_ms));
        while self.0.values().filter(|session| session.name == name).count() >= OF_USER_MAX {
            self.end_oldest(|session| session.name == name);
        }
        while self.0.len() >= ALL_MAX {
            self.end_oldest(|_| true);
        }
        let cookie = secret()?;
        let session = Session {
            name: name.into(),
            csrf: secret()?,
            hash: hash.into(),
            began_ms: now_ms,
            used_ms: now_ms,
        };
        self.0.insert(cookie.clone(), session.clone());
        Ok((cookie, session))
    }

    /// The session of a cookie. One that is looked for by a page on its own, `is_idle`, is not thereby used.
    pub fn find(&mut self, cookie: &str, is_idle: bool, now_ms: u64) -> Option<Session> {
        let session = self.0.get_mut(cookie)?;
        if !session.is_alive(now_ms) {
            self.0.remove(cookie);
            return None;
        }
        if !is_idle {
            session.used_ms = now_ms;
        }
        Some(session.clone())
    }

    pub fn end(&mut self, cookie: &str) {
        self.0.remove(cookie);
    }

    fn end_oldest(&mut self, is_meant: impl Fn(&Session) -> bool) {
        let meant = self.0.iter().filter(|(_, session)| is_meant(session));
        let oldest = meant.min_by_key(|(_, session)| session.began_ms).map(|(cookie, _)| cookie.clone());
        oldest.map(|cookie| self.0.remove(&cookie));
    }
}

impl Session {
    fn is_alive(&self, now_ms: u64) -> bool {
        now_ms < self.used_ms + IDLE_MS && now_ms < self.began_ms + WHOLE_MS
    }

    /// Whether it is the token of this session, in a time that does not say where the two differ.
    pub fn is_token(&self, token: &str) -> bool {
        let pairs = self.csrf.bytes().zip(token.bytes());
        let differing = pairs.fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
        self.csrf.len() == token.len() && differing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_not_used_and_once_for_all() {
        let mut sessions = Sessions::default();
        let (cookie, session) = sessions.open("anna", "h", 0).unwrap();
        assert_eq!(cookie.len(), 64);
        assert_ne!(cookie, session.csrf);
        assert!(sessions.find("", false, 0).is_none());
        assert!(sessions.find(&cookie, false, IDLE_MS - 1).is_some());
        assert!(sessions.find(&cookie, true, 2 * IDLE_MS - 2).is_some(), "was used a moment before its end");
        assert!(sessions.find(&cookie, true, 2 * IDLE_MS - 1).is_none(), "a page alone does not use it");
        let (cookie, _) = sessions.open("anna", "h", 0).unwrap();
        let mut now_ms = 0;
        while now_ms + IDLE_MS / 2 < WHOLE_MS {
            now_ms += IDLE_MS / 2;
            assert!(sessions.find(&cookie, false, now_ms).is_some());
        }
        assert!(sessions.find(&cookie, false, WHOLE_MS).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut sessions = Sessions::default();
        let cookies: Vec<_> =
            (0..=OF_USER_MAX as u64).map(|at| sessions.open("anna", "h", at).unwrap().0).collect();
        assert!(sessions.find(&cookies[0], false, 20).is_none());
        assert!(sessions.find(&cookies[1], false, 20).is_some());
        for number in 0..ALL_MAX + 10 {
            sessions.open(&format!("u{number}"), "h", 30).unwrap();
        }
        assert_eq!(sessions.0.len(), ALL_MAX);
    }

    #[test]
    fn a_token_is_whole() {
        let (_, session) = Sessions::default().open("anna", "h", 0).unwrap();
        assert!(session.is_token(&session.csrf.clone()));
        for wrong in ["", &session.csrf[1..], &format!("{}0", session.csrf)] {
            assert!(!session.is_token(wrong));
        }
    }
}
