//! Memory that is held without need: by the allocator, and for code that ran once.

#![allow(unsafe_code)]

/// Gives free memory back to the system. The allocator keeps what lies between pieces in use, and each thread's arena to
/// itself; this takes it a millisecond or two for a hundred megabytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    // SAFETY: it may be called at any time, from any thread; what is in use stays where it is.
    unsafe { nix::libc::malloc_trim(0) };
}

/// As above: other allocators know no such thing, or do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

/// Lets go of the pages of code that have been used so far: what serves is a small part of what starts, and comes back
/// from the file by itself. To be called once, when the start is over.
#[cfg(target_os = "linux")]
pub fn forget_start() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code_of_file) {
        // SAFETY: the pages are a file's, mapped without the right to write, so none differs from the file and each is
        // read again when it is next used.
        let _ = unsafe { nix::libc::madvise(start as *mut _, length, nix::libc::MADV_DONTNEED) };
    }
}

/// As above: elsewhere nobody counts them.
#[cfg(not(target_os = "linux"))]
pub fn forget_start() {}

/// Start and length of a mapping that holds a file's code and cannot be written; `None` for another one.
#[cfg(target_os = "linux")]
fn code_of_file(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let is_file = words.nth(3).is_some_and(|name| name.starts_with('/'));
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
    (rights == "r-xp" && is_file).then_some((start?, end?.checked_sub(start?)?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_let_go() {
        let code = "7f5000-7f7000 r-xp 00026000 fe:00 12345    /usr/lib/libc.so.6";
        assert_eq!(code_of_file(code), Some((0x7f5000, 0x2000)));
        for other in [
            "7f5000-7f7000 r--p 00026000 fe:00 12345    /usr/lib/libc.so.6",
            "7f5000-7f7000 rwxp 00026000 fe:00 12345    /usr/lib/libc.so.6",
            "7f5000-7f7000 r-xp 00000000 00:00 0        [vdso]",
            "7f5000-7f7000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code_of_file(other), None, "{other}");
        }
        forget_start();
        assert_eq!(code_of_file(code).map(|(_, length)| length), Some(0x2000), "code still runs");
    }
}
