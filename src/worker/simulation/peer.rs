//! Clients and servers of a simulated life: what each sends, takes and has seen.

use super::Random;
use crate::os::simulated::Wire;
use std::sync::LazyLock;

/// So many bytes at the beginning name the sender.
const NAME_BYTES: usize = 4;

/// How a peer ends its side once it has sent everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    AtOnce,
    /// When it has seen the end of the other side.
    AfterOther,
    /// Instead, it resets the connection, or is gone, when it has sent so much.
    Reset(usize),
    Gone(usize),
}

#[derive(Debug)]
pub struct Peer {
    pub wire: u32,
    pub number: u32,
    pub is_client: bool,
    pub ending: Ending,
    /// What it sends in all.
    pub bytes: usize,
    /// It sends nothing before it has received so much.
    patience_bytes: usize,
    /// Takes so much at once at most.
    pub appetite_bytes: usize,
    pub sent: usize,
    pub received: usize,
    name: [u8; NAME_BYTES],
    pub has_ended: bool,
    /// It has reset the connection or is gone.
    pub is_gone: bool,
    /// In the middle of what it says.
    pub has_reset: bool,
    pub saw_end: bool,
    pub saw_reset: bool,
    /// The peer beyond pen.
    pub partner: Option<usize>,
}

/// What the peer with this number sends at a place: its number, then bytes that tell where they belong.
fn write(number: u32, place: usize, bytes: &mut [u8]) {
    const PERIOD: usize = 65_521;
    static STREAM: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..PERIOD).map(|place| (place * 7 + place / 251) as u8).collect());
    let mut done = 0;
    while done < bytes.len() {
        let at = place + done;
        let source = match at {
            0..NAME_BYTES => &number.to_le_bytes()[at..],
            _ => &STREAM[(at + number as usize * 89) % PERIOD..],
        };
        let count = source.len().min(bytes.len() - done);
        bytes[done..done + count].copy_from_slice(&source[..count]);
        done += count;
    }
}

impl Peer {
    pub fn new(number: u32, wire: u32, is_client: bool, most_bytes: usize, random: &mut Random) -> Peer {
        let bytes = match random.below(20) {
            0..3 => 0,
            3..12 => NAME_BYTES + random.below(300),
            12..18 => NAME_BYTES + random.below(60_000),
            18 => NAME_BYTES + random.below(400_000),
            _ => NAME_BYTES + random.below(3_000_000),
        };
        let bytes = bytes.min(most_bytes);
        let ending = match (random.below(20), is_client) {
            (0..2, _) => Ending::Reset(random.below(bytes + 1)),
            (2..4, _) => Ending::Gone(random.below(bytes + 1)),
            (4..8, true) | (4..14, false) => Ending::AfterOther,
            _ => Ending::AtOnce,
        };
        Peer {
            wire,
            number,
            is_client,
            ending,
            bytes,
            patience_bytes: if is_client || random.chance(30) { 0 } else { 1 },
            appetite_bytes: [100, 5_000, 200_000, 2_000_000][random.below(4)],
            sent: 0,
            received: 0,
            name: [0; NAME_BYTES],
            has_ended: false,
            is_gone: false,
            has_reset: false,
            saw_end: false,
            saw_reset: false,
            partner: None,
        }
    }

    /// Whether nothing that it does can make the other side's bytes or its own useless.
    pub fn is_clean(&self) -> bool {
        matches!(self.ending, Ending::AtOnce | Ending::AfterOther)
    }

    pub fn is_over(&self) -> bool {
        self.is_gone || self.saw_reset || (self.has_ended && self.saw_end)
    }

    /// The peer whose bytes these are, once it has named itself.
    pub fn sender(&self) -> Option<u32> {
        (self.received >= NAME_BYTES).then(|| u32::from_le_bytes(self.name))
    }

    /// Does a little: takes, sends, ends.
    pub fn act(&mut self, wire: &mut Wire, random: &mut Random) {
        if self.is_over() || !wire.is_established {
            self.saw_reset |= wire.is_closed && !wire.is_established;
            return;
        }
        if random.chance(80) {
            self.take(wire);
        }
        self.saw_end |= wire.is_ended();
        self.saw_reset |= wire.reset_sent;
        if let Ending::Reset(after) | Ending::Gone(after) = self.ending
            && self.sent >= after
        {
            return self.go(wire);
        }
        if self.sent < self.bytes {
            // What pen does not read stays with the sender, as in the network.
            let is_patient = self.received < self.patience_bytes && !self.saw_end;
            let is_held_up = wire.is_unread() && random.chance(50);
            if !is_patient && !is_held_up {
                self.send(wire, random);
            }
        } else if !self.has_ended && (self.ending == Ending::AtOnce || self.saw_end) {
            self.has_ended = true;
            wire.come_end();
        }
    }

    /// Resets the connection, or is gone.
    pub fn go(&mut self, wire: &mut Wire) {
        self.is_gone = true;
        let is_open = !wire.is_closed;
        wire.come_gone(matches!(self.ending, Ending::Reset(_)));
        self.has_reset = is_open && wire.has_reset();
    }

    fn send(&mut self, wire: &mut Wire, random: &mut Random) {
        let most = [1, 100, 20_000, 500_000, 2_000_000][random.below(5)];
        let count = (1 + random.below(most)).min(self.bytes - self.sent);
        let mut piece = vec![0; count];
        write(self.number, self.sent, &mut piece);
        wire.come(&piece);
        self.sent += count;
    }

    fn take(&mut self, wire: &mut Wire) {
        let bytes = wire.take(self.appetite_bytes);
        for (place, byte) in self.name.iter_mut().skip(self.received).zip(&bytes) {
            *place = *byte;
        }
        let mut expected = vec![0; bytes.len()];
        write(u32::from_le_bytes(self.name), self.received, &mut expected);
        if bytes != expected {
            let wrong = bytes.iter().zip(&expected).position(|(byte, expected)| byte != expected);
            panic!("byte {wrong:?} behind {} is wrong at {self:?}", self.received);
        }
        self.received += bytes.len();
    }
}
