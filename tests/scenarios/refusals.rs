//! System calls that fail although they hardly ever do: strace lets them.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::programs::is_installed;
use crate::common::skip::skip_outside_ci;
use pen_sys::net::poller::REGISTRATIONS_LAST;
use std::process::Command;

/// Words that run a program as its own process and let these calls of each of its threads fail, as `inject` of strace(1)
/// describes them. `None` where processes cannot be traced.
fn refusing(calls: &str) -> Option<String> {
    let is_possible = is_installed("strace")
        && Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .status()
            .is_ok_and(|status| status.success());
    if is_possible {
        return Some(format!("strace -D -f -qq -o /dev/null -e inject={calls}"));
    }
    skip_outside_ci("strace is missing or may not trace");
    None
}

#[test]
fn a_worker_that_cannot_wait_ends_pen_instead_of_leaving_it_half_alive() {
    if !REGISTRATIONS_LAST {
        return; // the other event loop waits with the call that the main thread waits with, too
    }
    let Some(strace) = refusing("?epoll_wait,?epoll_pwait:error=EINVAL:when=3") else { return };
    let mut pen = Pen::before([] as [&str; 0]).options("--threads 2").through(&strace).start();
    // Each client wakes a worker at least once. None is waited for: the last ones find nobody.
    for _ in 0..20 {
        let _ = std::net::TcpStream::connect(pen.address);
    }
    assert_eq!(pen.wait(), Some(1));
    let said = pen.stderr();
    assert!(said.contains("cannot wait for events"), "{said}");
    assert!(said.contains("a worker has ended"), "{said}");
}

#[test]
fn a_server_is_not_blamed_for_an_address_that_is_in_use_here() {
    let servers = [Backend::named("A"), Backend::named("B")];
    // The first connect of the worker succeeds, and so does the only one of the main thread, to the test.
    let Some(strace) = refusing("connect:error=EADDRINUSE:when=2") else { return };
    let pen = Pen::before(&servers).options("-r --threads 1").through(&strace).start();
    let names = pen.asks(4);
    let said = pen.stderr();
    assert!(said.contains("from here: address already in use"), "{said}");
    assert!(!said.contains("blacklisting"), "{said}");
    assert_eq!(names.len(), 4, "{names}");
    assert!(names.contains('A') && names.contains('B'), "{names}");
}
