//! The time stamps of access logs: `dd/Mon/yyyy:HH:MM:SS +hhmm`, read and written.
//!
//! Owns their arithmetic. Pure; called by the reader of lines, and by tests that make logs.

use super::split_at;

const SECONDS_PER_DAY: i64 = 86_400;

/// Nanoseconds: no clock is finer.
const FRACTION_DIGITS_MAX: usize = 9;

/// As Apache writes them in every locale.
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Reads `dd/Mon/yyyy:HH:MM:SS +hhmm` to seconds since 1970-01-01 00:00 UTC. The zone may be left out and is UTC
/// then; one digit is enough for all but the year; the seconds may have a fraction, which is left out here. `None`
/// for what is no moment: an unknown month, a 31st of April.
pub fn parse_time(text: &[u8]) -> Option<i64> {
    let (text, zone) = split_at(text, b' ').unwrap_or((text, b"+0000"));
    let (day, text) = take_number(text, b'/')?;
    let (month, text) = take_month(text)?;
    let (year, text) = take_year(text)?;
    let (hour, text) = take_number(text, b':')?;
    let (minute, text) = take_number(text, b':')?;
    let second = number(&text[..text.len() - fraction(text)?.len()])?;
    // A leap second has the number 60.
    if day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(seconds - zone_offset_seconds(zone)?)
}

/// The fraction of a second at the end of a time without its zone: a point and one to nine digits, or nothing. `None`
/// for a point with anything else behind it.
fn fraction(text: &[u8]) -> Option<&[u8]> {
    let Some(point) = text.iter().rposition(|&byte| byte == b'.') else { return Some(b"") };
    let digits = &text[point + 1..];
    let is_fraction =
        matches!(digits.len(), 1..=FRACTION_DIGITS_MAX) && digits.iter().all(u8::is_ascii_digit);
    is_fraction.then_some(&text[point..])
}

/// The fraction of a second in a time that [`parse_time`] reads, with its point: `.042`. Empty where there is none.
pub fn fraction_of(time: &[u8]) -> &[u8] {
    let text = split_at(time, b' ').map_or(time, |(text, _)| text);
    fraction(text).unwrap_or(b"")
}

/// What [`fraction_of`] found, in nanoseconds.
pub fn nanoseconds(fraction: &[u8]) -> u32 {
    let digits = fraction.iter().skip(1).chain(std::iter::repeat(&b'0')).take(FRACTION_DIGITS_MAX);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// Appends `dd/Mon/yyyy:HH:MM:SS +0000`, with the `fraction` (point and digits, or nothing) behind the seconds. Years before 0 and after 9999 are beyond the format and come out as those.
pub fn write_time(out: &mut Vec<u8>, epoch_seconds: i64, fraction: &[u8]) {
    let days = epoch_seconds.div_euclid(SECONDS_PER_DAY);
    let second_of_day = epoch_seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = date(days);
    let year = year.clamp(0, 9999);
    write_two_digits(out, day);
    out.push(b'/');
    out.extend_from_slice(MONTHS[month as usize - 1]);
    out.push(b'/');
    write_two_digits(out, year / 100);
    write_two_digits(out, year % 100);
    for number in [second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60] {
        out.push(b':');
        write_two_digits(out, number);
    }
    out.extend_from_slice(fraction);
    out.extend_from_slice(b" +0000");
}

fn zone_offset_seconds(zone: &[u8]) -> Option<i64> {
    let [sign, hour @ .., minute_tens, minute_ones] = zone else { return None };
    let (hour, minute) = (number(hour)?, two_digits(*minute_tens, *minute_ones)?);
    if zone.len() != b"+hhmm".len() || hour > 23 || minute > 59 {
        return None;
    }
    match sign {
        b'+' => Some(hour * 3600 + minute * 60),
        b'-' => Some(-(hour * 3600 + minute * 60)),
        _ => None,
    }
}

/// A number of one or two digits and what is after the separator behind it.
fn take_number(text: &[u8], separator: u8) -> Option<(i64, &[u8])> {
    match text {
        [tens, ones, end, rest @ ..] if *end == separator => Some((two_digits(*tens, *ones)?, rest)),
        [ones, end, rest @ ..] if *end == separator => Some((digit(*ones)?, rest)),
        _ => None,
    }
}

/// `Mon/` from 1.
fn take_month(text: &[u8]) -> Option<(i64, &[u8])> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    Some((month, rest.strip_prefix(b"/")?))
}

/// `yyyy:`
fn take_year(text: &[u8]) -> Option<(i64, &[u8])> {
    let [thousands, hundreds, tens, ones, b':', rest @ ..] = text else { return None };
    Some((two_digits(*thousands, *hundreds)? * 100 + two_digits(*tens, *ones)?, rest))
}

/// A number of one or two digits.
fn number(text: &[u8]) -> Option<i64> {
    match text {
        [tens, ones] => two_digits(*tens, *ones),
        [ones] => digit(*ones),
        _ => None,
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn write_two_digits(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
///
/// The year is counted from March, so that the leap day is its last and the months before it have a regular length:
/// 153 days in every five.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// The inverse of [`days_since_1970`].
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 400 * 365 + 97;
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / (DAYS_PER_ERA - 1);
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, FixedOffset};
    use proptest::prelude::*;

    #[test]
    fn times() {
        let cases = [
            ("01/Jan/1970:00:00:00 +0000", Some(0)),
            ("09/Jan/2002:00:28:50 -0030", Some(1_010_537_930)),
            ("9/Jan/2002:0:28:50", Some(1_010_536_130)),
            ("09/Jan/2002:00:28:50.123456 -0030", Some(1_010_537_930)),
            ("9/Jan/2002:0:28:50.1", Some(1_010_536_130)),
            ("09/Jan/2002:00:28:50. +0000", None),
            ("09/Jan/2002:00:28:50.1x +0000", None),
            ("09/Jan/2002:00:28:50.1234567890 +0000", None),
            ("30/Jun/2015:23:59:60 +0000", Some(1_435_708_800)),
            ("29/Feb/2000:00:00:00 +0000", Some(951_782_400)),
            ("29/Feb/1900:00:00:00 +0000", None),
            ("31/Apr/2002:00:00:00 +0000", None),
            ("00/Jan/2002:00:00:00 +0000", None),
            ("01/Jan/2002:24:00:00 +0000", None),
            ("01/Jan/2002:00:00:00 UTC", None),
            ("01/Jan/2002:00:00:00 +01000", None),
            ("01/Jan/2002:00:00:00 01000", None),
            ("01/jan/2002:00:00:00 +0000", None),
            ("01/Jan/02:00:00:00 +0000", None),
            ("-1/Jan/2002:00:00:00 +0000", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn fractions_of_a_second() {
        for (time, wanted, nanos) in [
            ("09/Jan/2002:00:28:50.042 +0100", ".042", 42_000_000),
            ("09/Jan/2002:00:28:50.999999999", ".999999999", 999_999_999),
            ("09/Jan/2002:00:28:50 +0100", "", 0),
        ] {
            assert_eq!(fraction_of(time.as_bytes()), wanted.as_bytes(), "{time}");
            assert_eq!(nanoseconds(wanted.as_bytes()), nanos, "{time}");
        }
    }

    proptest! {
        #[test]
        fn times_agree_with_chrono(
            epoch_seconds in -62_135_596_800i64..253_402_300_800,
            zone_minutes in -1439i32..1440,
        ) {
            let zone = FixedOffset::east_opt(zone_minutes * 60).unwrap();
            let local = DateTime::from_timestamp(epoch_seconds, 0).unwrap().with_timezone(&zone);
            let text = local.format("%d/%b/%Y:%H:%M:%S %z").to_string();
            prop_assume!(text.len() == "dd/Mon/yyyy:HH:MM:SS +zzzz".len());
            prop_assert_eq!(parse_time(text.as_bytes()), Some(epoch_seconds));
        }

        #[test]
        fn a_written_time_reads_back(epoch_seconds in -62_135_596_800i64..253_402_300_800) {
            let mut out = Vec::new();
            write_time(&mut out, epoch_seconds, b"");
            let expected = DateTime::from_timestamp(epoch_seconds, 0).unwrap();
            let expected = expected.format("%d/%b/%Y:%H:%M:%S %z").to_string();
            prop_assert_eq!(&out, expected.as_bytes());
            prop_assert_eq!(parse_time(&out), Some(epoch_seconds));
        }
    }
}
