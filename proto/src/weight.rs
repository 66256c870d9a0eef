//! The weight of a server: its share of the connections, in thousandths.

use crate::addr::quoted;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Largest weight of a server.
pub const WEIGHT_MAX: u32 = 65535;
/// Of a whole.
const PARTS: u32 = 1000;
/// Decimals that make so many parts.
const DECIMALS: usize = 3;

/// From 0 to [`WEIGHT_MAX`], with up to three decimals. Written without them where it is whole, as Pen does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    pub const ZERO: Weight = Weight::whole(0);
    pub const ONE: Weight = Weight::whole(1);
    /// The smallest above 0.
    pub const LEAST: Weight = Weight(1);

    /// A weight without decimals; larger ones than [`WEIGHT_MAX`] count as that.
    pub const fn whole(weight: u32) -> Weight {
        Weight(if weight < WEIGHT_MAX { weight } else { WEIGHT_MAX } * PARTS)
    }

    /// As many thousandths; more than [`WEIGHT_MAX`] has count as that.
    pub const fn of_thousandths(thousandths: u32) -> Weight {
        Weight(if thousandths < WEIGHT_MAX * PARTS { thousandths } else { WEIGHT_MAX * PARTS })
    }

    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// Whether it has no decimals.
    pub const fn is_whole(self) -> bool {
        self.0.is_multiple_of(PARTS)
    }

    /// Reads a weight.
    ///
    /// # Errors
    /// `want 0..65535, got "x"`.
    pub fn parse(text: &str) -> Result<Weight, String> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parts = || {
            let whole: u32 = whole.parse().ok().filter(|whole| *whole <= WEIGHT_MAX)?;
            let decimals: u32 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
            Some(whole * PARTS + decimals).filter(|parts| *parts <= WEIGHT_MAX * PARTS)
        };
        let is_number = digits(whole) && digits(decimals) && (1..=DECIMALS).contains(&decimals.len());
        let parts = if is_number { parts() } else { None };
        parts.map(Weight).ok_or_else(|| format!("want 0..{WEIGHT_MAX}, got {}", quoted(text)))
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / PARTS, self.0 % PARTS);
        match decimals {
            0 => whole.fmt(f),
            _ => write!(f, "{whole}.{}", format!("{decimals:0DECIMALS$}").trim_end_matches('0')),
        }
    }
}

/// A number, whole where it can be.
impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % PARTS {
            0 => serializer.serialize_u32(self.0 / PARTS),
            _ => serializer.serialize_f64(f64::from(self.0) / f64::from(PARTS)),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Weight, D::Error> {
        let weight = f64::deserialize(deserializer)?.clamp(0.0, f64::from(WEIGHT_MAX));
        // The bounds make it fit.
        Ok(Weight((weight * f64::from(PARTS)).round() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_have_up_to_three_decimals() {
        for (text, thousandths, written) in [
            ("0", 0, "0"),
            ("007", 7_000, "7"),
            ("0.5", 500, "0.5"),
            ("1.25", 1_250, "1.25"),
            ("2.005", 2_005, "2.005"),
            ("3.0", 3_000, "3"),
            ("65535.000", 65_535_000, "65535"),
        ] {
            let weight = Weight::parse(text).unwrap();
            assert_eq!((weight.thousandths(), weight.to_string().as_str()), (thousandths, written));
        }
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1.2345", "65535.001", "65536", "1,5", "1e3", "4294967296"]
        {
            assert_eq!(Weight::parse(text).unwrap_err(), format!("want 0..65535, got \"{text}\""));
        }
    }

    #[test]
    fn a_fraction_is_one_in_json_only_where_it_must_be() {
        assert_eq!(serde_json::to_string(&Weight::whole(3)).unwrap(), "3");
        assert_eq!(serde_json::to_string(&Weight::parse("0.25").unwrap()).unwrap(), "0.25");
        assert_eq!(serde_json::from_str::<Weight>("-1").unwrap(), Weight::ZERO);
    }

    proptest! {
        #[test]
        fn weights_are_read_as_they_are_written(thousandths in 0..=WEIGHT_MAX * PARTS) {
            let weight = Weight(thousandths);
            prop_assert_eq!(Weight::parse(&weight.to_string()), Ok(weight));
            let json = serde_json::to_string(&weight).unwrap();
            prop_assert_eq!(serde_json::from_str::<Weight>(&json).unwrap(), weight);
        }
    }
}
