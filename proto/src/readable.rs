//! Numbers as people read them, the same in every program: sizes, durations, counts of things.
//!
//! Pure. Called by pen's pages, penctl's tables, webstats and mergelogs.

/// `1 server`, `2 servers`.
pub fn counted(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// `512 B`, `1.5 KiB`, `12.1 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// The two largest units: `12 s`, `5 min 3 s`, `2 h 1 min`, `3 d 4 h`.
pub fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let largest = UNITS.iter().position(|&(size, _)| seconds >= size).unwrap_or(UNITS.len() - 1);
    let (size, name) = UNITS[largest];
    let first = format!("{} {name}", seconds / size);
    match UNITS.get(largest + 1) {
        Some(&(next, name)) if seconds % size >= next => format!("{first} {} {name}", seconds % size / next),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_durations_and_counts_read_well() {
        for (count, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1.0 MiB"),
            (13_023_526_614, "12.1 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(count), words);
        }
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (303, "5 min 3 s"),
            (7261, "2 h 1 min"),
            (3605, "1 h"),
            (273_907, "3 d 4 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        assert_eq!([0, 1, 2].map(|number| counted(number, "line")), ["0 lines", "1 line", "2 lines"]);
    }
}
