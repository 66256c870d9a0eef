//! What one worker has found about the clones of a service; those of all workers add up.

use super::answer::Answer;
use super::spread::Spread;
use pen_proto::escape::EscapedBytes;
use pen_proto::status::{
    CloneEnd, CloneEnds, CloneSideStatus, ClonesStatus, CloseReason, Difference, DifferenceExample,
    DifferenceStatus, Ends,
};

/// Of what is shown of each answer, and of what was asked.
const EXAMPLE_BYTES_MAX: usize = 160;

/// One of the two connections, over now. Times are microseconds from the beginning of its connect.
#[derive(Debug, Default)]
pub struct Half {
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// `None`: nothing came.
    pub first_byte_us: Option<u64>,
    /// `None`: it never began.
    pub duration_us: Option<u64>,
    pub answer: Answer,
}

/// A connection to a member, and the one to its clone.
#[derive(Debug)]
pub struct Pair {
    pub member: Half,
    pub member_end: CloseReason,
    pub clone: Half,
    pub clone_end: CloneEnd,
    /// The member has said all it had to say, and the clone had the time for it.
    pub is_whole: bool,
    /// What the client said first.
    pub asked: Vec<u8>,
    pub epoch_seconds: u64,
}

#[derive(Debug, Clone, Default)]
struct Side {
    connections: u64,
    sent_bytes: u64,
    received_bytes: u64,
    first_byte: Spread,
    duration: Spread,
}

#[derive(Debug, Clone, Default)]
struct Differing {
    count: u64,
    /// The last one.
    example: Option<DifferenceExample>,
}

/// See the head of this file.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    member: Side,
    clone: Side,
    member_ends: Ends,
    clone_ends: CloneEnds,
    compared: u64,
    same: u64,
    differing: [Differing; Difference::COUNT],
}

impl Side {
    fn note(&mut self, half: &Half) {
        self.connections += 1;
        self.sent_bytes += half.sent_bytes;
        self.received_bytes += half.received_bytes;
        if let Some(us) = half.first_byte_us {
            self.first_byte.note(us);
        }
        if let Some(us) = half.duration_us {
            self.duration.note(us);
        }
    }

    fn add(&mut self, more: &Side) {
        self.connections += more.connections;
        self.sent_bytes += more.sent_bytes;
        self.received_bytes += more.received_bytes;
        self.first_byte.add(&more.first_byte);
        self.duration.add(&more.duration);
    }
}

/// How the two differ, if they do.
fn difference(pair: &Pair) -> Option<Difference> {
    let (member, clone) = (&pair.member.answer, &pair.clone.answer);
    match () {
        () if pair.clone_end.is_failure() => Some(Difference::End),
        () if clone.is_empty() && !member.is_empty() => Some(Difference::NoAnswer),
        () if member.begins_as(clone) => (member.bytes() != clone.bytes()).then_some(Difference::Length),
        () => match member.first_difference(clone) {
            Some((1, ..)) => Some(Difference::FirstLine),
            _ => Some(Difference::Content),
        },
    }
}

/// What a person is shown of it.
fn example(pair: &Pair, difference: Difference) -> DifferenceExample {
    let (member, clone) = (&pair.member.answer, &pair.clone.answer);
    let found = member.first_difference(clone).filter(|_| difference != Difference::End);
    let (member_text, clone_text) = match (difference, found) {
        (Difference::End, _) => (pair.member_end.as_str().into(), pair.clone_end.as_str().into()),
        (Difference::Length, _) | (_, None) => {
            (format!("{} bytes", member.bytes()), format!("{} bytes", clone.bytes()))
        }
        (_, Some((_, member, clone))) => (shown(member), shown(clone)),
    };
    DifferenceExample {
        epoch_seconds: pair.epoch_seconds,
        asked: shown(pair.asked.split(|byte| *byte == b'\n').next().unwrap_or_default()),
        line: found.filter(|_| difference != Difference::Length).map(|(line, ..)| line as u64),
        member: member_text,
        clone: clone_text,
    }
}

fn shown(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    EscapedBytes(&bytes[..bytes.len().min(EXAMPLE_BYTES_MAX)]).to_string()
}

impl Tally {
    /// Both connections are over.
    pub fn note(&mut self, mut pair: Pair) {
        pair.member.answer.finish();
        pair.clone.answer.finish();
        self.member.note(&pair.member);
        self.clone.note(&pair.clone);
        self.member_ends.count(pair.member_end);
        self.clone_ends.count(pair.clone_end);
        // Who was cut off with the client, or by pen, has not said all it had to say.
        if !pair.is_whole || pair.clone_end.is_ours() {
            return;
        }
        self.compared += 1;
        match difference(&pair) {
            None => self.same += 1,
            Some(kind) => {
                let differing = &mut self.differing[kind as usize];
                differing.count += 1;
                differing.example = Some(example(&pair, kind));
            }
        }
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.member.connections == 0
    }

    /// That of another worker.
    pub fn add(&mut self, more: &Tally) {
        self.member.add(&more.member);
        self.clone.add(&more.clone);
        self.member_ends.add(&more.member_ends);
        self.clone_ends.add(&more.clone_ends);
        self.compared += more.compared;
        self.same += more.same;
        for (differing, more) in self.differing.iter_mut().zip(&more.differing) {
            differing.count += more.count;
            let at = |example: &Option<DifferenceExample>| example.as_ref().map(|it| it.epoch_seconds);
            if at(&more.example) > at(&differing.example) {
                differing.example.clone_from(&more.example);
            }
        }
    }

    /// All of it, for people and programs. What it does not know is left at its default.
    pub fn status(&self) -> ClonesStatus {
        fn side<Ends>(side: &Side, ends: Ends) -> CloneSideStatus<Ends> {
            CloneSideStatus {
                connections: side.connections,
                sent_bytes: side.sent_bytes,
                received_bytes: side.received_bytes,
                first_byte: side.first_byte.status(),
                duration: side.duration.status(),
                ends,
            }
        }
        let differences = Difference::ALL.into_iter().filter_map(|kind| {
            let Differing { count, example } = &self.differing[kind as usize];
            (*count > 0).then(|| DifferenceStatus { kind, count: *count, example: example.clone() })
        });
        ClonesStatus {
            member: side(&self.member, self.member_ends.clone()),
            clone: side(&self.clone, self.clone_ends.clone()),
            compared: self.compared,
            same: self.same,
            differences: differences.collect(),
            ..ClonesStatus::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Ignored;
    use super::*;

    fn half(answer: &[u8]) -> Half {
        let mut told = Answer::new(Ignored::new(["Date:".to_owned()]));
        told.push(answer);
        Half { received_bytes: answer.len() as u64, duration_us: Some(100), answer: told, ..Half::default() }
    }

    fn pair(member: &[u8], clone: &[u8]) -> Pair {
        Pair {
            member: half(member),
            member_end: CloseReason::Finished,
            clone: half(clone),
            clone_end: CloneEnd::Finished,
            is_whole: true,
            asked: b"GET /\x1b[0m HTTP/1.1\r\nHost: x\r\n".to_vec(),
            epoch_seconds: 7,
        }
    }

    #[test]
    fn every_difference_has_its_kind_and_an_example_that_harms_nobody() {
        let long = vec![b'x'; 100_000];
        let late = [&[b'x'; 2_000][..], b"late"].concat();
        type Told = Option<(Difference, &'static str, &'static str)>;
        let cases: [(Pair, Told); 8] = [
            (pair(b"200 OK\nDate: 1\nbody", b"200 OK\nDate: 2\nbody"), None),
            (
                pair(b"200 OK\r\n", b"500 \x1b[1m\r\n"),
                Some((Difference::FirstLine, "200 OK", r"500 \x1b[1m")),
            ),
            (pair(b"200 OK\nold", b"200 OK\nnew"), Some((Difference::Content, "old", "new"))),
            (pair(&late, &late[..2_001]), Some((Difference::Content, "2004 bytes", "2001 bytes"))),
            (pair(b"200 OK\n", b""), Some((Difference::NoAnswer, "200 OK", ""))),
            (pair(&long, &long[..90_000]), Some((Difference::Length, "100000 bytes", "90000 bytes"))),
            (
                Pair { clone_end: CloneEnd::Reset, ..pair(b"200 OK\n", b"2") },
                Some((Difference::End, "finished", "reset")),
            ),
            (Pair { clone_end: CloneEnd::WithClient, ..pair(b"a", b"b") }, None),
        ];
        for (pair, expected) in cases {
            let mut tally = Tally::default();
            let is_ours = pair.clone_end.is_ours();
            tally.note(pair);
            let mut all = Tally::default();
            all.add(&tally);
            let status = all.status();
            let told = status.differences.first().map(|told| {
                let example = told.example.as_ref().expect("each has one");
                assert_eq!((told.count, &*example.asked), (1, r"GET /\x1b[0m HTTP/1.1"));
                (told.kind, &*example.member, &*example.clone)
            });
            assert_eq!(told, expected);
            assert_eq!(status.compared, u64::from(!is_ours));
            assert_eq!(status.same, u64::from(expected.is_none() && !is_ours));
            assert_eq!((status.member.connections, status.clone.duration.median_us), (1, Some(100)));
        }
    }
}
