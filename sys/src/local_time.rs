//! Local time for whoever writes it: diagnostics, the statistics page.
//!
//! The time zone is read from files, which a chroot puts out of reach. From then on the difference to UTC that was
//! remembered before it counts, so that the times in a log do not jump at start; a change to summer time is missed
//! until the next start, unless the jail has an `/etc/localtime`.

use chrono::{DateTime, FixedOffset, Local, Offset, Utc};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

/// Seconds east of UTC, as [`remember_zone`] found them.
static OFFSET_SECONDS: AtomicI32 = AtomicI32::new(0);

/// Call it before a chroot.
pub fn remember_zone() {
    OFFSET_SECONDS.store(Local::now().offset().fix().local_minus_utc(), Ordering::Relaxed);
}

/// Now, in the time zone of this machine.
pub fn now() -> DateTime<FixedOffset> {
    if has_zone_files() {
        return Local::now().fixed_offset();
    }
    let offset = FixedOffset::east_opt(OFFSET_SECONDS.load(Ordering::Relaxed));
    Utc::now().with_timezone(&offset.expect("an offset that chrono gave"))
}

/// The form of Pen's diagnostics and pages: `YYYY-MM-DD HH:MM:SS`.
pub fn stamp(time: &DateTime<FixedOffset>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M:%S")
}

fn has_zone_files() -> bool {
    Path::new("/etc/localtime").exists() || Path::new("/usr/share/zoneinfo").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_pens() {
        let time = DateTime::parse_from_rfc3339("2026-01-02T03:04:05.678+01:00").unwrap();
        assert_eq!(stamp(&time).to_string(), "2026-01-02 03:04:05");
    }
}
