//! What commands have changed is saved into the configuration file by itself.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::skip::skip;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use std::fs;
use std::path::PathBuf;

fn copies(pen: &Pen) -> Vec<PathBuf> {
    let directory = pen.path("pen.conf").parent().unwrap().to_owned();
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut copies: Vec<_> =
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("pen.conf-")).collect();
    copies.sort();
    copies
}

fn saved(pen: &Pen, line: &str) {
    eventually("the file to be saved", || pen.text("pen.conf"), |text| text.lines().any(|it| it == line));
}

#[test]
fn changes_are_saved_with_copies_of_before_and_what_others_wrote_is_left_alone() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).config("autosave 1 2\n").start();
    assert_eq!(pen.control("autosave"), "1 2\n");
    pen.control("blacklist 41");
    saved(&pen, "blacklist 41");
    assert_eq!(fs::read_to_string(&copies(&pen)[0]).unwrap(), "autosave 1 2\n");
    for count in 42..45 {
        pen.control(&format!("blacklist {count}"));
        saved(&pen, &format!("blacklist {count}"));
    }
    eventually("two copies to be left", || copies(&pen).len(), |count| *count == 2);
    // Saving counts as a reading for HUP.
    pen.signal(Signal::SIGHUP);
    assert_eq!(pen.control("reload"), "");
    assert_eq!(pen.control("blacklist"), "44\n");
    // Somebody else writes the file: it is theirs.
    let text = pen.text("pen.conf").replace("blacklist 44", "blacklist 7");
    fs::write(pen.path("pen.conf"), &text).unwrap();
    pen.control("hash");
    let told = "autosave: ";
    eventually(
        "that to be told",
        || pen.stderr(),
        |said| said.contains("others have changed it since pen read it"),
    );
    pen.control("timeout 9");
    pen.control("roundrobin");
    assert_eq!(pen.text("pen.conf"), text);
    assert_eq!(pen.control("reload"), "");
    assert_eq!(
        (pen.control("blacklist"), pen.control("timeout")),
        ("7\n".into(), "3\n".into()),
        "as it says"
    );
    pen.control("tracking 12");
    saved(&pen, "tracking 12");
    assert_eq!(pen.stderr().matches(told).count(), 1, "once: {}", pen.stderr());
}

#[test]
fn what_is_not_saved_yet_is_saved_at_the_end_and_nothing_without_a_change() {
    let a = Backend::named("A");
    let mut pen = Pen::before([&a]).config("autosave 3600\n").start();
    assert_eq!(pen.control("autosave"), "3600 10\n");
    pen.control("blacklist 41");
    pen.signal(Signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    assert!(pen.text("pen.conf").contains("\nblacklist 41\n"));
    let mut quiet = Pen::before([&a]).config("autosave 3600\n").start();
    quiet.control("servers");
    quiet.signal(Signal::SIGTERM);
    assert_eq!(quiet.wait(), Some(0));
    assert_eq!((quiet.text("pen.conf").as_str(), copies(&quiet).len()), ("autosave 3600\n", 0));
}

#[test]
fn it_wants_a_file() {
    let a = Backend::named("A");
    let pen = Pen::before([&a]).start();
    let want = "error: autosave: want a configuration file to save into, by -F at start\n";
    assert_eq!(pen.control("autosave 5"), want);
    assert_eq!(pen.control("autosave"), "0\n");
}

#[test]
fn a_full_disk_costs_neither_the_file_nor_its_copies_nor_clients() {
    if !geteuid().is_root() {
        return skip("a small file system needs root");
    }
    let a = Backend::named("A");
    let pen = Pen::before([&a])
        .through("unshare --mount sh -c")
        .through_script(
            "mount -t tmpfs -o size=64k tmpfs small && echo autosave 1 2 >small/pen.conf && exec \"$0\" \"$@\"",
        )
        .directory("small")
        .options("-F small/pen.conf")
        .start();
    let small = PathBuf::from(format!("/proc/{}/root{}", pen.pid(), pen.path("small").display()));
    let text = || fs::read_to_string(small.join("pen.conf")).unwrap();
    let others = || {
        let names =
            fs::read_dir(&small).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "pen.conf").collect();
        names.sort();
        names
    };
    let is_saved = |line: &'static str| eventually("it to be saved", text, move |text| text.contains(line));
    pen.control("blacklist 41");
    is_saved("\nblacklist 41\n");
    let (before, copies) = (text(), others());
    assert_eq!(copies.len(), 1, "{copies:?}");

    let filler = small.join("filler");
    // The end of the room is an error, and that is wanted.
    let _ = fs::write(&filler, vec![0; 256 * 1024]);
    pen.control("blacklist 42");
    let word = "autosave: small/pen.conf: no space left on device";
    eventually("a word about it", || pen.stderr(), |said| said.contains(word));
    // Each further try makes a file that does not stay, which changes the directory.
    for _ in 0..2 {
        let changed = || fs::metadata(&small).unwrap().modified().unwrap();
        let last = changed();
        eventually("another try", changed, |now| *now != last);
    }
    assert_eq!(pen.connect().line(), "A");
    assert_eq!(text(), before);
    let left = [copies.clone(), vec!["filler".to_owned()]].concat();
    eventually("no file of a try to be left", others, |names| {
        let mut wanted = left.clone();
        wanted.sort();
        *names == wanted
    });
    assert_eq!(fs::read_to_string(small.join(&copies[0])).unwrap(), "autosave 1 2\n");
    assert_eq!(pen.stderr().matches("autosave: ").count(), 1, "once: {}", pen.stderr());

    fs::remove_file(&filler).unwrap();
    is_saved("\nblacklist 42\n");
    eventually("a second copy", || others().len(), |count| *count == 2);
}
