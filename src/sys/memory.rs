//! Memory that the allocator holds without need.

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
