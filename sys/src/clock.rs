//! The one place where pen reads a clock. Everything above takes the time as an argument.

#![allow(clippy::disallowed_methods, reason = "this is where the clock is read")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct Origin {
    instant: Instant,
    epoch_ms: u64,
}

fn origin() -> &'static Origin {
    static ORIGIN: OnceLock<Origin> = OnceLock::new();
    ORIGIN.get_or_init(|| Origin { instant: Instant::now(), epoch_ms: epoch_ms() })
}

/// The moment, for whoever measures by `Instant`.
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since the first call in this process; never goes back.
pub fn monotonic_ms() -> u64 {
    origin().instant.elapsed().as_millis() as u64
}

/// Microseconds since the first call in this process; never goes back.
pub fn monotonic_us() -> u64 {
    origin().instant.elapsed().as_micros() as u64
}

/// Microseconds of the system's monotonic clock, as systemd wants them with `RELOADING=1`.
pub fn since_boot_usec() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1000)
}

/// Wall-clock milliseconds since 1970. Follows every adjustment of the system's clock.
pub fn epoch_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Lets time pass. For the main thread only: workers never wait.
pub fn wait_ms(duration_ms: u64) {
    std::thread::sleep(Duration::from_millis(duration_ms));
}

/// Seconds since 1970 as they were at the first call plus what has passed since: an adjusted clock neither ends a
/// blacklist early nor forgets clients.
pub fn steady_epoch_seconds(monotonic_ms: u64) -> u32 {
    ((origin().epoch_ms + monotonic_ms) / 1000) as u32
}

/// Milliseconds until this second of [`steady_epoch_seconds`] begins; 0 when it has.
pub fn ms_until_second(monotonic_ms: u64, epoch_seconds: u32) -> u64 {
    (u64::from(epoch_seconds) * 1000).saturating_sub(origin().epoch_ms + monotonic_ms)
}
