//! Bytes that tell where they belong: a lost, doubled or moved byte anywhere in a stream is noticed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::OnceLock;
use std::thread;

/// A prime, so that no power-of-two buffer falls into step with the repetition.
const PERIOD: usize = 65_521;

fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..PERIOD).map(|_| byte()).collect()
    })
}

/// Writes `count` bytes of the pattern.
pub fn write(to: &mut impl Write, count: usize) -> std::io::Result<()> {
    let mut left = count;
    while left > 0 {
        let chunk = left.min(PERIOD);
        to.write_all(&block()[..chunk])?;
        left -= chunk;
    }
    Ok(())
}

/// Reads to the end and returns how many bytes of the pattern came.
///
/// # Panics
/// At a byte that does not belong there, or when reading fails.
pub fn read_to_end(from: &mut impl Read) -> usize {
    let mut buffer = [0; 64 * 1024];
    let mut position = 0;
    loop {
        let got = super::client::read(from, &mut buffer)
            .unwrap_or_else(|error| panic!("after {position} bytes: {error}"));
        if got == 0 {
            return position;
        }
        check(&buffer[..got], position);
        position += got;
    }
}

/// Sends so many bytes, ends, and returns how many of them came back.
pub fn round_trip(stream: TcpStream, count: usize) -> usize {
    let (mut writing, mut reading) = (&stream, &stream);
    thread::scope(|scope| {
        scope.spawn(move || {
            write(&mut writing, count).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(&mut reading)
    })
}

/// The bytes of the pattern from `position` on, as many as lie before its next repetition or `count`.
pub fn piece(position: usize, count: usize) -> &'static [u8] {
    let start = position % PERIOD;
    &block()[start..PERIOD.min(start + count)]
}

/// # Panics
/// When these bytes do not belong to `position`.
pub fn check(bytes: &[u8], position: usize) {
    let mut seen = 0;
    while seen < bytes.len() {
        let start = (position + seen) % PERIOD;
        let chunk = (PERIOD - start).min(bytes.len() - seen);
        let (got, want) = (&bytes[seen..seen + chunk], &block()[start..start + chunk]);
        if got != want {
            let offset = got.iter().zip(want).position(|(got, want)| got != want).unwrap();
            panic!("wrong byte at position {}", position + seen + offset);
        }
        seen += chunk;
    }
}
