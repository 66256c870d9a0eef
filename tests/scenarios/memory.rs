//! Memory that a crowd needed is given back when it is gone.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::process::{raise_descriptor_limit, rss_kib};
use crate::common::wait::eventually;
use std::io::Write;

/// More than an empty pen may keep.
const KEPT_KIB: u64 = 8 << 10;

#[test]
fn what_stalled_readers_held_is_given_back() {
    raise_descriptor_limit();
    let chunk = vec![b'x'; 64 << 10];
    let server = Backend::serving(move |mut stream| while stream.write_all(&chunk).is_ok() {});
    let pen =
        Pen::before([&server]).options("-t 60").command("threads 2").command("pending_max 1000").start();
    // Who has come and gone once, so that everything is there that an empty pen has.
    std::io::Read::read_exact(&mut pen.connect().stream, &mut [0; 1]).unwrap();
    let empty_kib =
        eventually("a pen at rest", || (server.open(), rss_kib(pen.pid())), |(open, _)| *open == 0).1;
    let stalled: Vec<Client> = (0..500).map(|_| Client::with_small_buffer(pen.address)).collect();
    let full_kib = eventually(
        "memory to be taken",
        || rss_kib(pen.pid()),
        |kib| *kib > empty_kib + KEPT_KIB + (2 << 10),
    );
    drop(stalled);
    let left =
        eventually("memory to be given back", || rss_kib(pen.pid()), |kib| *kib <= empty_kib + KEPT_KIB);
    eprintln!("{empty_kib} KiB empty, {full_kib} with stalled readers, {left} after them");
}
