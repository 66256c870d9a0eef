//! A mistake of ours while a request is read or carried out costs the request, not pen.
//!
//! Owns how a panic becomes an answer; what is to be taken back then is the caller's business. Called by `apply.rs` and
//! `reload.rs`, and around everything else that the main thread does for a control client or a signal.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`. A panic in it, of which the panic hook has said where it was, becomes an error; the caller sees to it
/// that nothing half done is left.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Trouble::Refused),
        Err(payload) => Err(Trouble::Internal(format!("internal error: {}", message(&*payload)))),
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be done, for this reason.
    Refused(String),
    /// It panicked, with these words.
    Internal(String),
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> String {
        match trouble {
            Trouble::Refused(text) | Trouble::Internal(text) => text,
        }
    }
}

/// What was said with a panic; nothing when it was no text.
fn message(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(guarded(|| Ok(7)), Ok(7));
        assert_eq!(guarded::<()>(|| Err("no".into())), Err(Trouble::Refused("no".into())));
        let said = |work: fn()| {
            let result = guarded(|| {
                work();
                Ok(())
            });
            result.map_err(String::from).unwrap_err()
        };
        assert_eq!(said(|| panic!("on purpose")), "internal error: on purpose");
        assert_eq!(said(|| panic!("on {}", "purpose")), "internal error: on purpose");
        assert_eq!(said(|| std::panic::panic_any(7)), "internal error: no words");
    }
}
