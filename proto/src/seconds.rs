//! Times in seconds with up to three decimals, kept as milliseconds.

use crate::addr::quoted;
use std::fmt;

const DECIMALS: usize = 3;

/// As many milliseconds, written in seconds and without decimals that say nothing: `1`, `0.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u64);

impl Seconds {
    /// Reads seconds within these bounds.
    ///
    /// # Errors
    /// `want 0.001..60 seconds, got "x"`.
    pub fn parse(text: &str, min_ms: u64, max_ms: u64) -> Result<u64, String> {
        decimal(text).filter(|ms| (min_ms..=max_ms).contains(ms)).ok_or_else(|| {
            format!("want {}..{} seconds, got {}", Seconds(min_ms), Seconds(max_ms), quoted(text))
        })
    }
}

/// Reads a number with up to three decimals, as thousandths.
pub fn decimal(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = [whole, decimals]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let ms = || {
        let decimals = (decimals.len() <= DECIMALS).then(|| format!("{decimals:0<DECIMALS$}"))?;
        whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(decimals.parse().ok()?)
    };
    if is_number { ms() } else { None }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (whole, 0) => whole.fmt(f),
            (whole, ms) => write!(f, "{whole}.{}", format!("{ms:0DECIMALS$}").trim_end_matches('0')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_have_up_to_three_decimals() {
        for (text, ms, written) in
            [("1", 1_000, "1"), ("0.25", 250, "0.25"), ("07.5", 7_500, "7.5"), ("60.000", 60_000, "60")]
        {
            assert_eq!(Seconds::parse(text, 1, 60_000), Ok(ms), "{text}");
            assert_eq!(Seconds(ms).to_string(), written);
        }
        for text in
            ["", ".", "1.", ".5", "0", "61", "60.001", "1.2345", "-1", "+1", "1e3", "99999999999999999999"]
        {
            let error = format!("want 0.001..60 seconds, got \"{text}\"");
            assert_eq!(Seconds::parse(text, 1, 60_000), Err(error));
        }
    }

    proptest! {
        #[test]
        fn seconds_are_read_as_they_are_written(ms in 0..10_000_000_000u64) {
            prop_assert_eq!(Seconds::parse(&Seconds(ms).to_string(), 0, u64::MAX), Ok(ms));
        }
    }
}
