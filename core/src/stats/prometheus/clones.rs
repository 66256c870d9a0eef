//! Members and clones side by side, of the services that have clones.

use super::{COUNTER, GAUGE, Label, Page, labels};
use pen_proto::status::{CloneEnd, ClonesState, ClonesStatus, CloseReason, SpreadStatus};
use std::fmt::{self, Display, Formatter};

/// Microseconds, told as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

type Told<'a> = Vec<(Vec<Label<'a>>, &'a ClonesStatus)>;
/// What the member and the clone have of something.
type Sides = fn(&ClonesStatus) -> [u64; 2];
type Spreads = fn(&ClonesStatus) -> [SpreadStatus; 2];

const SIDES: [&str; 2] = ["member", "clone"];

const COUNTS: [(&str, &str, Sides); 3] = [
    ("pen_clone_connections_total", "Connections that had a clone and are over.", |told| {
        [told.member.connections, told.clone.connections]
    }),
    ("pen_clone_sent_bytes_total", "Bytes of them, from the client.", |told| {
        [told.member.sent_bytes, told.clone.sent_bytes]
    }),
    ("pen_clone_received_bytes_total", "Bytes of them, from the server.", |told| {
        [told.member.received_bytes, told.clone.received_bytes]
    }),
];

const TIMES: [(&str, &str, Spreads); 2] = [
    (
        "pen_clone_first_byte_seconds",
        "Time to the first byte of an answer, median and 99th percentile.",
        |told| [told.member.first_byte, told.clone.first_byte],
    ),
    ("pen_clone_duration_seconds", "Duration of the connections, median and 99th percentile.", |told| {
        [told.member.duration, told.clone.duration]
    }),
];

impl<'a> Page<'a> {
    pub(super) fn clones(&mut self) {
        let views = self.views.iter();
        let told: Told<'a> = views
            .filter_map(|(pen, service)| Some((labels(*pen, service).collect(), service.clones?)))
            .collect();
        self.head("pen_clones_usable", GAUGE, "1 if connections can have clones now, otherwise 0.");
        for (labels, clones) in &told {
            let is_usable = u64::from(clones.state == ClonesState::Enabled);
            self.sample("pen_clones_usable", labels.iter().copied(), is_usable);
        }
        for (name, help, counts) in COUNTS {
            self.head(name, COUNTER, help);
            for (labels, clones) in &told {
                for (side, count) in SIDES.into_iter().zip(counts(clones)) {
                    self.sample(name, labels.iter().copied().chain([("side", side)]), count);
                }
            }
        }
        for (name, help, times) in TIMES {
            self.head(name, "summary", help);
            for (labels, clones) in &told {
                for (side, spread) in SIDES.into_iter().zip(times(clones)) {
                    let count = format!("{name}_count");
                    self.sample(&count, labels.iter().copied().chain([("side", side)]), spread.count);
                    for (quantile, us) in [("0.5", spread.median_us), ("0.99", spread.p99_us)] {
                        let told = [("side", side), ("quantile", quantile)];
                        if let Some(us) = us {
                            self.sample(name, labels.iter().copied().chain(told), Seconds(us));
                        }
                    }
                }
            }
        }
        self.clone_ends(&told);
        self.clone_answers(&told);
    }

    fn clone_ends(&mut self, told: &Told<'a>) {
        const NAME: &str = "pen_clone_ends_total";
        self.head(NAME, COUNTER, "How these connections ended.");
        for (labels, clones) in told {
            let of_member = CloseReason::ALL
                .into_iter()
                .map(|reason| ("member", reason.as_str(), clones.member.ends.of(reason)));
            let of_clone =
                CloneEnd::ALL.into_iter().map(|end| ("clone", end.as_str(), clones.clone.ends.of(end)));
            for (side, reason, count) in of_member.chain(of_clone).filter(|(.., count)| *count > 0) {
                let told = [("side", side), ("reason", reason)];
                self.sample(NAME, labels.iter().copied().chain(told), count);
            }
        }
    }

    fn clone_answers(&mut self, told: &Told<'a>) {
        type Count = fn(&ClonesStatus) -> u64;
        let compared: Count = |clones| clones.compared;
        let same: Count = |clones| clones.same;
        for (name, help, count) in [
            ("pen_clone_answers_compared_total", "Answers of clones that were compared.", compared),
            ("pen_clone_answers_same_total", "Those that were the same as the member's.", same),
        ] {
            self.head(name, COUNTER, help);
            for (labels, clones) in told {
                self.sample(name, labels.iter().copied(), count(clones));
            }
        }
        const NAME: &str = "pen_clone_differences_total";
        self.head(NAME, COUNTER, "The others, by what differs.");
        for (labels, clones) in told {
            for difference in &clones.differences {
                let kind = [("kind", difference.kind.as_str())];
                self.sample(NAME, labels.iter().copied().chain(kind), difference.count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use pen_proto::status::{Difference, DifferenceStatus, Status};

    #[test]
    fn clones_are_told_of_beside_members_and_only_where_there_are_some() {
        let mut clones =
            ClonesStatus { state: ClonesState::Enabled, compared: 3, same: 2, ..Default::default() };
        clones.member.connections = 3;
        clones.member.ends.count(CloseReason::Finished);
        clones.clone.first_byte = SpreadStatus { count: 3, median_us: Some(812), p99_us: Some(2_000_003) };
        clones.clone.ends.count(CloneEnd::QueueFull);
        clones.differences = vec![DifferenceStatus { kind: Difference::Content, count: 1, example: None }];
        let told = render(&Status { clones: Some(clones), ..Status::default() });
        for line in [
            "pen_clones_usable 1",
            "pen_clone_connections_total{side=\"member\"} 3",
            "pen_clone_first_byte_seconds{side=\"clone\",quantile=\"0.99\"} 2.000003",
            "pen_clone_first_byte_seconds_count{side=\"clone\"} 3",
            "pen_clone_ends_total{side=\"clone\",reason=\"queue_full\"} 1",
            "pen_clone_answers_same_total 2",
            "pen_clone_differences_total{kind=\"content\"} 1",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} in {told}");
        }
        assert!(!render(&Status::default()).contains("clone"));
    }
}
