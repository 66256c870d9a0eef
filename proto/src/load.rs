//! How much a server has to do, as it says itself: the load average of Unix, or what an agent makes of it.

use crate::addr::quoted;
use crate::seconds::{Seconds, decimal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Of a whole.
const PARTS: u32 = 1000;
const DECIMALS: usize = 3;
/// Largest load, in whole numbers.
pub const LOAD_MAX: u32 = 1_000_000;
/// The same in thousandths.
pub const LOAD_THOUSANDTHS_MAX: u64 = LOAD_MAX as u64 * PARTS as u64;

/// From 0 to [`LOAD_MAX`], in thousandths. Written without decimals that say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load(u32);

impl Load {
    /// As many thousandths; more than [`LOAD_MAX`] has count as that.
    pub fn of_thousandths(thousandths: u64) -> Load {
        // The bound makes it fit.
        Load(thousandths.min(u64::from(LOAD_MAX) * u64::from(PARTS)) as u32)
    }

    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// Reads a load, or what is reckoned with loads, as a command has it: in thousandths, up to so many.
    ///
    /// # Errors
    /// `want 0..100, got "x"`.
    pub fn parse(text: &str, max: u64) -> Result<u64, String> {
        let number = decimal(text).filter(|number| *number <= max);
        number.ok_or_else(|| format!("want 0..{}, got {}", Seconds(max), quoted(text)))
    }

    /// Reads a number that is not negative, as programs and agents write it: `3`, `0.42`, `.5`, ` 12.3456 `. Further
    /// decimals are cut off. `None` for anything else.
    pub fn read(text: &str) -> Option<Load> {
        let text = text.trim();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(decimals) || whole.len() + decimals.len() == 0 {
            return None;
        }
        let decimals = decimals.get(..DECIMALS).unwrap_or(decimals);
        let parts: u64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
        let whole = match whole.trim_start_matches('0') {
            "" => 0,
            whole => whole.parse::<u64>().unwrap_or(u64::MAX).min(LOAD_MAX.into()),
        };
        Some(Load::of_thousandths(whole * u64::from(PARTS) + parts))
    }

    /// How much of another it is, in whole percent; nothing of none.
    pub fn percent_of(self, whole: Load) -> u32 {
        let percent = u64::from(self.0) * 100;
        // Of a thousandth it is at most 10^11: it stays a number that people read.
        percent.checked_div(whole.0.into()).unwrap_or(0).min(u32::MAX.into()) as u32
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The same spelling.
        Seconds(self.0.into()).fmt(f)
    }
}

/// A number, whole where it can be.
impl Serialize for Load {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % PARTS {
            0 => serializer.serialize_u32(self.0 / PARTS),
            _ => serializer.serialize_f64(f64::from(self.0) / f64::from(PARTS)),
        }
    }
}

impl<'de> Deserialize<'de> for Load {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Load, D::Error> {
        let load = f64::deserialize(deserializer)?.clamp(0.0, f64::from(LOAD_MAX));
        // The bounds make it fit.
        Ok(Load((load * f64::from(PARTS)).round() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn loads_are_read_as_agents_write_them() {
        for (text, thousandths, written) in [
            ("0", 0, "0"),
            ("0.42", 420, "0.42"),
            (" 6.84 ", 6_840, "6.84"),
            (".5", 500, "0.5"),
            ("007.", 7_000, "7"),
            ("12.34567", 12_345, "12.345"),
            ("99999999999999999999999", 1_000_000_000, "1000000"),
        ] {
            let load = Load::read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((load.thousandths(), load.to_string().as_str()), (thousandths, written), "{text}");
        }
        for text in ["", ".", "-1", "+1", "1e3", "0,42", "1.2.3", "nan", "75%", "1 2"] {
            assert_eq!(Load::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_part_is_told_in_percent() {
        let load = Load::of_thousandths;
        assert_eq!(load(1_500).percent_of(load(2_000)), 75);
        assert_eq!(load(5_000).percent_of(load(2_000)), 250);
        assert_eq!(load(5_000).percent_of(load(0)), 0);
        assert_eq!(load(u64::MAX).percent_of(load(1)), u32::MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(thousandths in 0..=u64::from(LOAD_MAX) * 1000, noise in "\\PC{0,12}") {
            let load = Load::of_thousandths(thousandths);
            prop_assert_eq!(Load::read(&load.to_string()), Some(load));
            let json = serde_json::to_string(&load).unwrap();
            prop_assert_eq!(serde_json::from_str::<Load>(&json).unwrap(), load);
            let _ = Load::read(&noise);
        }
    }
}
