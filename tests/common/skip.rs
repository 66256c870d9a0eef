//! Tests that do nothing where they cannot run, and say so.
#![allow(dead_code, reason = "each test target uses its part")]

/// Says why a test does nothing here.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// As [`skip`], for what `tests/run` installs or a CI machine has: under `CI=true` it may not be missing.
pub fn skip_outside_ci(reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "may not be skipped under CI=true: {reason}");
    skip(reason);
}
