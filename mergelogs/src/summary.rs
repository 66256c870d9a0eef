//! What a merge found, in words.
//!
//! Owns the counts and the sentences about them. Pure; filled by `merge`, shown by `main`.

use std::fmt;

use pen_proto::readable::counted;

use crate::pen_log::Unmatched;

#[derive(Debug, Default)]
pub struct Counts {
    pub written: u64,
    pub matched: u64,
    server_unknown: u64,
    time_not_covered: u64,
    too_far_apart: u64,
    request_unknown: u64,
    /// Lines that are no access log lines, and where the first is.
    pub rejected: u64,
    pub first_rejected: Option<String>,
    pub pen_log_entries: u64,
    /// Servers that the user named by something other than an address, and that the pen log never names so.
    pub names_unknown: Vec<String>,
    /// Name of the log, and lines in it that are no entries.
    pub pen_log_skipped: Vec<(String, u64)>,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unmatched::ServerUnknown => "the pen log does not name the server",
            Unmatched::TimeNotCovered => "the pen log does not cover the time",
            Unmatched::TooFarApart => "the request is in the pen log, but further away than the jitter",
            Unmatched::RequestUnknown => "the request is not in the pen log",
        })
    }
}

impl Counts {
    pub fn count_unmatched(&mut self, why: Unmatched) {
        *match why {
            Unmatched::ServerUnknown => &mut self.server_unknown,
            Unmatched::TimeNotCovered => &mut self.time_not_covered,
            Unmatched::TooFarApart => &mut self.too_far_apart,
            Unmatched::RequestUnknown => &mut self.request_unknown,
        } += 1;
    }

    /// What the user should know unasked: something in the input was of no use.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(first) = &self.first_rejected {
            warnings.push(format!("{} left out, the first is {first}", no_access_log_lines(self.rejected)));
        }
        if self.pen_log_entries == 0 && self.written > 0 {
            warnings.push("the pen log has no entries".to_owned());
        } else if self.matched == 0 && self.written > 0 {
            warnings.push("no line got its client; -v says why".to_owned());
        }
        for name in &self.names_unknown {
            warnings.push(format!(
                "{name}: the pen log has no server of this name; want the server's address as it is there"
            ));
        }
        warnings
    }

    /// Everything there is to say about a merge, a sentence for each line.
    pub fn summary(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{} written, {} with their client", counted(self.written, "line"), self.matched)];
        for (count, why) in [
            (self.server_unknown, Unmatched::ServerUnknown),
            (self.time_not_covered, Unmatched::TimeNotCovered),
            (self.too_far_apart, Unmatched::TooFarApart),
            (self.request_unknown, Unmatched::RequestUnknown),
        ] {
            if count > 0 {
                lines.push(format!("{count} without: {why}"));
            }
        }
        for (name, skipped) in self.pen_log_skipped.iter().filter(|(_, skipped)| *skipped > 0) {
            let are_none = if *skipped == 1 { "is no entry" } else { "are no entries" };
            lines.push(format!("{name}: {} {are_none} of pen", counted(*skipped, "line")));
        }
        lines
    }
}

fn no_access_log_lines(count: u64) -> String {
    match count {
        1 => "1 line is no access log line and was".to_owned(),
        _ => format!("{count} lines are no access log lines and were"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_merge_has_nothing_to_warn_about() {
        let counts = Counts { written: 2, matched: 2, pen_log_entries: 2, ..Counts::default() };
        assert!(counts.warnings().is_empty());
        assert_eq!(counts.summary(), ["2 lines written, 2 with their client"]);
    }

    #[test]
    fn a_merge_that_found_nobody_says_so_and_names_servers_that_are_no_addresses() {
        let names_unknown = vec!["web1".to_owned()];
        let counts = Counts { written: 2, pen_log_entries: 2, names_unknown, ..Counts::default() };
        assert_eq!(
            counts.warnings(),
            [
                "no line got its client; -v says why",
                "web1: the pen log has no server of this name; want the server's address as it is there",
            ]
        );
    }

    #[test]
    fn every_reason_is_told_with_its_count() {
        let mut counts = Counts { written: 4, ..Counts::default() };
        for why in [
            Unmatched::ServerUnknown,
            Unmatched::TimeNotCovered,
            Unmatched::TooFarApart,
            Unmatched::RequestUnknown,
            Unmatched::RequestUnknown,
        ] {
            counts.count_unmatched(why);
        }
        counts.rejected = 2;
        counts.first_rejected = Some("a.log:7".to_owned());
        counts.pen_log_skipped = vec![("pen.log".to_owned(), 3), ("other".to_owned(), 0)];
        assert_eq!(
            counts.warnings(),
            [
                "2 lines are no access log lines and were left out, the first is a.log:7",
                "the pen log has no entries",
            ]
        );
        assert_eq!(
            counts.summary(),
            [
                "4 lines written, 0 with their client",
                "1 without: the pen log does not name the server",
                "1 without: the pen log does not cover the time",
                "1 without: the request is in the pen log, but further away than the jitter",
                "2 without: the request is not in the pen log",
                "pen.log: 3 lines are no entries of pen",
            ]
        );
    }
}
