//! What the system knows of this process: time, memory, descriptors.
//!
//! Asked for when somebody wants to see it, and then a handful of system calls. In a jail without `/proc` the system
//! does not tell what stands there.

use crate::limits;
use nix::sys::resource::{UsageWho, getrusage};
use pen_proto::status::ProcessStatus;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// The figures of this moment.
pub fn look() -> ProcessStatus {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ProcessStatus {
        cpu_milliseconds: cpu_milliseconds(),
        resident_bytes: field("VmRSS").map(|kib| kib * 1024),
        virtual_bytes: field("VmSize").map(|kib| kib * 1024),
        open_descriptors: open_descriptors(),
        descriptors_max: limits::open_files(),
        threads: field("Threads"),
    }
}

fn cpu_milliseconds() -> Option<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let times = [usage.user_time(), usage.system_time()];
    Some(times.map(|time| time.tv_sec() as u64 * 1000 + time.tv_usec() as u64 / 1000).iter().sum())
}

/// From Linux 6.2 on the size of the directory is their count; before it is 0, and they are counted one by one.
fn open_descriptors() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.size() {
        // The one that reads the directory is there as long as it is read.
        0 => Some((fs::read_dir(DIRECTORY).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_of_this_process() {
        let figures = look();
        assert!(figures.resident_bytes.unwrap() > 100_000 && figures.virtual_bytes >= figures.resident_bytes);
        assert!(figures.cpu_milliseconds.is_some() && figures.threads.unwrap() >= 1);
        let held: Vec<File> = (0..300).map(|_| File::open("/dev/null").unwrap()).collect();
        let more = look().open_descriptors.unwrap();
        assert!(more >= 300 && more <= figures.descriptors_max, "{more}");
        drop(held);
    }
}
