//! Passwords and their hashes: argon2id with 19 MiB and two passes, as OWASP's password storage cheat sheet advises.
//!
//! Slow on purpose (about 20 ms of a core and 19 MiB): a door must not do it on the threads that serve everybody, and
//! must bound how many it does at once.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use std::sync::OnceLock;

/// The longest password that is looked at.
pub const BYTES_MAX: usize = 1024;

/// Makes a hash with a new salt, in the PHC format.
///
/// # Errors
/// The system has no random numbers.
pub fn hash(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| format!("cannot hash the password: {error}"))
}

/// Whether it is a hash that [`hash`] may have made.
///
/// # Errors
/// What was expected.
pub fn check(hash: &str) -> Result<(), String> {
    match PasswordHash::new(hash) {
        Ok(parsed) if parsed.algorithm.as_str() == "argon2id" && parsed.hash.is_some() => Ok(()),
        _ => Err("want a hash that penadmin user made, or - for no password".into()),
    }
}

/// The hash that nobody has.
fn decoy() -> Option<&'static str> {
    static DECOY: OnceLock<Option<String>> = OnceLock::new();
    DECOY.get_or_init(|| hash("nobody has this one").ok()).as_deref()
}

/// Does beforehand what the first look at the password of nobody would do in addition, and take longer for.
pub fn prepare() {
    decoy();
}

/// Whether the password is the one of the hash. Without a hash the same work is done, so that the time does not say
/// whether there is such a user.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Some(Ok(parsed)) = hash.or(decoy()).map(PasswordHash::new) else { return false };
    let is_right = password.len() <= BYTES_MAX
        && Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    is_right && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_right_or_not() {
        let stored = hash("pässword").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(check(&stored), Ok(()));
        assert!(verify("pässword", Some(&stored)));
        for wrong in ["", "password", "pässword "] {
            assert!(!verify(wrong, Some(&stored)), "{wrong}");
        }
        assert_ne!(hash("pässword").unwrap(), stored, "another salt");
    }

    #[test]
    fn nobody_has_a_password() {
        assert!(!verify("nobody has this one", None));
        assert!(!verify("", None));
        assert!(!verify("x", Some("no hash")));
        let long = "x".repeat(BYTES_MAX + 1);
        let stored = hash(&long).unwrap();
        assert!(!verify(&long, Some(&stored)));
    }
}
