//! Members and clones side by side, as `clones` answers.

use pen_proto::status::{
    CloneEnd, CloneEnds, CloneSideStatus, ClonesStatus, CloseReason, DifferenceStatus, Ends, SpreadStatus,
};
use std::fmt::{self, Display};

/// The state, a table with a column for each side, and what differs.
pub fn render(clones: &ClonesStatus) -> String {
    let mut text = format!("{}\n", clones.state);
    text += &line("", "member", "clone");
    text.extend(rows(clones).into_iter().map(|(name, member, clone)| line(&name, member, clone)));
    text += &format!("compared {} same {}\n", clones.compared, clones.same);
    text.extend(clones.differences.iter().map(|difference| format!("{}\n", Told(difference))));
    text
}

fn line(name: &str, member: impl Display, clone: impl Display) -> String {
    let line = format!("{name:<28} {member:>16} {clone:>16}");
    format!("{}\n", line.trim_end())
}

/// What each side has of everything: the name, the member's and the clone's.
pub fn rows(clones: &ClonesStatus) -> Vec<(String, String, String)> {
    let ClonesStatus { member, clone, .. } = clones;
    let mut rows = vec![
        ("connections".to_owned(), member.connections.to_string(), clone.connections.to_string()),
        ("sent_bytes".to_owned(), member.sent_bytes.to_string(), clone.sent_bytes.to_string()),
        ("received_bytes".to_owned(), member.received_bytes.to_string(), clone.received_bytes.to_string()),
    ];
    type Spread<Ends> = fn(&CloneSideStatus<Ends>) -> SpreadStatus;
    let spreads: [(&str, Spread<Ends>, Spread<CloneEnds>); 2] = [
        ("first_byte", |side| side.first_byte, |side| side.first_byte),
        ("duration", |side| side.duration, |side| side.duration),
    ];
    for (name, of_member, of_clone) in spreads {
        let (member, clone) = (of_member(member), of_clone(clone));
        rows.push((format!("{name} median"), time(member.median_us), time(clone.median_us)));
        rows.push((format!("{name} 99%"), time(member.p99_us), time(clone.p99_us)));
    }
    // A word that both have is one line.
    let mut ends: Vec<(&str, u64, u64)> =
        CloseReason::ALL.into_iter().map(|reason| (reason.as_str(), member.ends.of(reason), 0)).collect();
    for end in CloneEnd::ALL {
        match ends.iter_mut().find(|(word, ..)| *word == end.as_str()) {
            Some((.., count)) => *count = clone.ends.of(end),
            None => ends.push((end.as_str(), 0, clone.ends.of(end))),
        }
    }
    let ends = ends.into_iter().filter(|(_, member, clone)| member + clone > 0);
    rows.extend(
        ends.map(|(word, member, clone)| (format!("ended {word}"), member.to_string(), clone.to_string())),
    );
    rows
}

/// In milliseconds; `-` where there is none.
fn time(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| format!("{}.{:03} ms", us / 1000, us % 1000))
}

/// A kind of difference, how often it was met, and its example. What came from the network is escaped already.
pub struct Told<'a>(pub &'a DifferenceStatus);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DifferenceStatus { kind, count, example } = self.0;
        write!(f, "differs {} {count}", kind.as_str())?;
        let Some(example) = example else { return Ok(()) };
        write!(f, ": \"{}\"", example.asked)?;
        if let Some(line) = example.line {
            write!(f, " line {line}")?;
        }
        write!(f, " member \"{}\" clone \"{}\"", example.member, example.clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::status::{ClonesState, Difference, DifferenceExample};

    #[test]
    fn both_sides_stand_side_by_side() {
        let mut clones =
            ClonesStatus { state: ClonesState::Enabled, compared: 3, same: 2, ..Default::default() };
        clones.member.connections = 3;
        clones.member.first_byte = SpreadStatus { count: 3, median_us: Some(812), p99_us: Some(12_003) };
        clones.member.ends.count(CloseReason::Finished);
        clones.clone.ends.count(CloneEnd::Finished);
        clones.clone.ends.count(CloneEnd::QueueFull);
        let example = DifferenceExample {
            asked: "GET / HTTP/1.1".into(),
            line: Some(1),
            member: "HTTP/1.1 200 OK".into(),
            clone: "HTTP/1.1 500 No".into(),
            ..Default::default()
        };
        clones.differences =
            vec![DifferenceStatus { kind: Difference::FirstLine, count: 1, example: Some(example) }];
        let text = render(&clones);
        let squeezed: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            squeezed,
            [
                "enabled",
                "member clone",
                "connections 3 0",
                "sent_bytes 0 0",
                "received_bytes 0 0",
                "first_byte median 0.812 ms -",
                "first_byte 99% 12.003 ms -",
                "duration median - -",
                "duration 99% - -",
                "ended finished 1 1",
                "ended queue_full 0 1",
                "compared 3 same 2",
                "differs first_line 1: \"GET / HTTP/1.1\" line 1 member \"HTTP/1.1 200 OK\" clone \"HTTP/1.1 500 No\"",
            ]
        );
    }
}
