//! Unit tests of `writer`.

use super::*;
use crate::tempdir::TempDir;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A writer without its thread, so that each step is taken when the test says so.
struct Bench {
    writer: Writer,
}

impl Bench {
    fn new() -> Bench {
        Bench { writer: Writer::new(Arc::new(Shared::new())) }
    }

    fn writing_to(path: &Path) -> Bench {
        let mut bench = Bench::new();
        bench.set_file(Some(append(path)));
        bench
    }

    fn set_file(&mut self, file: Option<File>) {
        self.writer.shared.order(Order::SetFile(file));
        assert_eq!(self.writer.obey(), Next::GoOn);
    }

    fn put(&self, text: &str) {
        lock(&self.writer.shared.queue).lines.extend_from_slice(text.as_bytes());
    }

    fn waiting_bytes(&self) -> usize {
        lock(&self.writer.shared.queue).lines.len()
    }

    fn dropped(&self) -> u64 {
        self.writer.shared.dropped_lines()
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).unwrap()
}

/// `line 0`, `line 1`, ...: as many as fit into so many bytes.
fn numbered_lines(bytes_max: usize) -> String {
    let mut lines = String::new();
    for number in 0.. {
        let line = format!("line {number} {}\n", "x".repeat(80));
        if lines.len() + line.len() > bytes_max {
            break;
        }
        lines += &line;
    }
    lines
}

#[test]
fn everything_that_waits_is_written_in_order() {
    let dir = TempDir::new();
    let mut bench = Bench::writing_to(&dir.join("log"));
    assert_eq!(bench.writer.drain(), Outcome::Idle);
    bench.put("one\n");
    assert_eq!(bench.writer.drain(), Outcome::Written);
    bench.put("two\n");
    bench.put("three\n");
    assert_eq!(bench.writer.drain(), Outcome::Written);
    assert_eq!(bench.writer.drain(), Outcome::Idle);
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn the_old_file_gets_what_was_waiting_when_the_file_changed() {
    let dir = TempDir::new();
    let mut bench = Bench::writing_to(&dir.join("log"));
    bench.put("old\n");
    fs::rename(dir.join("log"), dir.join("log.1")).unwrap();
    bench.writer.shared.order(Order::SetFile(Some(append(&dir.join("log")))));
    bench.put("new\n"); // after the order, though the writer has not seen it yet
    bench.writer.drain();
    assert_eq!(bench.writer.obey(), Next::GoOn);
    bench.writer.drain();
    assert_eq!(fs::read_to_string(dir.join("log.1")).unwrap(), "old\n");
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "new\n");
}

#[test]
fn a_file_that_takes_nothing_costs_only_what_is_left_at_the_end() {
    let mut bench = Bench::writing_to(Path::new("/dev/full"));
    bench.put("one\ntwo\n");
    assert_eq!(bench.writer.drain(), Outcome::Failed);
    bench.put("three\n");
    assert_eq!(bench.writer.drain(), Outcome::Failed);
    assert_eq!((bench.dropped(), bench.waiting_bytes()), (0, "three\n".len()));
    bench.writer.finish(FAREWELL_MILLISECONDS);
    assert_eq!(bench.dropped(), 3);
}

#[test]
fn what_one_file_did_not_take_goes_into_the_next() {
    let dir = TempDir::new();
    let mut bench = Bench::writing_to(Path::new("/dev/full"));
    bench.put("one\ntwo\n");
    bench.writer.drain();
    bench.set_file(Some(append(&dir.join("log"))));
    bench.writer.drain();
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "one\ntwo\n");
    assert_eq!(bench.dropped(), 0);
}

#[test]
fn when_the_log_ends_what_its_file_did_not_take_is_lost() {
    let mut bench = Bench::writing_to(Path::new("/dev/full"));
    bench.put("one\n");
    bench.writer.drain();
    bench.put("two\n");
    bench.set_file(None);
    assert_eq!((bench.dropped(), bench.waiting_bytes()), (2, 0));
}

/// A worker may be faster than the order that names the file.
#[test]
fn lines_wait_for_their_file() {
    let dir = TempDir::new();
    let mut bench = Bench::new();
    bench.put("early\n");
    assert_eq!(bench.writer.drain(), Outcome::Idle);
    bench.set_file(Some(append(&dir.join("log"))));
    bench.writer.drain();
    assert_eq!(fs::read_to_string(dir.join("log")).unwrap(), "early\n");
}

#[test]
fn memory_of_a_rush_is_given_back() {
    let mut bench = Bench::writing_to(Path::new("/dev/null"));
    bench.put(&numbered_lines(4 << 20));
    bench.writer.drain();
    assert!(bench.writer.batch.capacity() <= KEPT_BYTES);
}

/// A pipe takes a part of a line when it is nearly full: as short a write as a disk may make.
#[test]
fn a_slow_reader_gets_every_byte() {
    let (mut reader, writer) = io::pipe().unwrap();
    let lines = numbered_lines(1 << 20);
    let mut bench = Bench::new();
    bench.set_file(Some(nonblocking(writer)));
    bench.put(&lines);
    assert_eq!(bench.writer.drain(), Outcome::Slow);
    let mut received = Vec::new();
    let mut buffer = [0; 50_001];
    while received.len() < lines.len() {
        let count = reader.read(&mut buffer).unwrap();
        received.extend_from_slice(&buffer[..count]);
        bench.writer.drain();
    }
    assert!(received == lines.as_bytes());
    assert_eq!(bench.dropped(), 0);
}

#[test]
fn at_the_end_a_reader_that_reads_is_waited_for() {
    let (mut reader, writer) = io::pipe().unwrap();
    let lines = numbered_lines(1 << 20);
    let mut bench = Bench::new();
    bench.set_file(Some(nonblocking(writer)));
    bench.put(&lines);
    let received = thread::spawn(move || {
        let mut received = String::new();
        reader.read_to_string(&mut received).map(|_| received)
    });
    // A reader on a busy machine may be away for longer than pen would wait.
    bench.writer.finish(30_000);
    assert_eq!(bench.dropped(), 0);
    drop(bench);
    assert!(received.join().unwrap().unwrap() == lines);
}

fn nonblocking(pipe: io::PipeWriter) -> File {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    File::from(std::os::fd::OwnedFd::from(pipe))
}

#[test]
fn on_a_full_disk_lines_wait_and_none_is_torn() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.path.join("log");
    fs::write(disk.path.join("ballast"), vec![0; 16 << 10]).unwrap();
    let lines = numbered_lines(60 << 10);
    let mut bench = Bench::writing_to(&path);
    bench.put(&lines);
    assert_eq!(bench.writer.drain(), Outcome::Failed);
    let torn = fs::read_to_string(&path).unwrap();
    assert!(torn.len() < lines.len() && !torn.ends_with('\n'), "the disk did not fill within a line");
    assert_eq!(bench.writer.drain(), Outcome::Failed);
    fs::remove_file(disk.path.join("ballast")).unwrap();
    assert_eq!(bench.writer.drain(), Outcome::Written);
    assert!(fs::read_to_string(&path).unwrap() == lines);
    assert_eq!(bench.dropped(), 0);
}

/// HUP while the disk is full: the same file opened again goes on where it was; another one starts with a whole line.
#[test]
fn a_torn_line_goes_on_in_its_own_file_only() {
    for rotated in [false, true] {
        let Some(disk) = SmallDisk::mount() else { return };
        let path = disk.path.join("log");
        let lines = numbered_lines(100 << 10);
        let mut bench = Bench::writing_to(&path);
        bench.put(&lines);
        assert_eq!(bench.writer.drain(), Outcome::Failed);
        let torn_bytes = fs::metadata(&path).unwrap().len() as usize;
        let elsewhere = TempDir::new();
        let next = if rotated { elsewhere.join("log") } else { path };
        bench.set_file(Some(append(&next)));
        disk.grow();
        assert_eq!(bench.writer.drain(), Outcome::Written);
        let text = fs::read_to_string(&next).unwrap();
        if rotated {
            let rest = &lines[torn_bytes..];
            assert!(text == rest[rest.find('\n').unwrap() + 1..]);
            assert_eq!(bench.dropped(), 1);
        } else {
            assert!(text == lines);
            assert_eq!(bench.dropped(), 0);
        }
    }
}

/// A file system of 64 KiB, which only root can mount.
struct SmallDisk {
    path: PathBuf,
    _dir: TempDir,
}

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let dir = TempDir::new();
        let path = dir.join("disk");
        fs::create_dir(&path).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&path).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk { path, _dir: dir }),
            other => {
                eprintln!("skipped: no tmpfs of 64 KiB can be mounted here: {other:?}");
                None
            }
        }
    }

    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=1m"]).arg(&self.path).status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because the log may still be open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking());
    }
}
