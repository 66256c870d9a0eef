//! Unit tests of `files`.

use super::*;
use crate::tempdir::TempDir;
use std::os::unix::fs::{PermissionsExt, symlink};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn open_to_everybody(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o1777)).unwrap();
}

/// The error of something that has no Debug form.
fn error_of<T>(result: io::Result<T>) -> io::Error {
    result.err().expect("an error")
}

#[test]
fn writing_replaces_the_file_and_leaves_nothing_else() {
    let dir = TempDir::new();
    let path = dir.join("page.html");
    assert_eq!(write_atomically(&path, b"first, longer", 0o640).unwrap(), Written::Whole);
    let before = fs::metadata(&path).unwrap();
    write_atomically(&path, b"second", 0o600).unwrap();
    let after = fs::metadata(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!((before.mode() & 0o777, after.mode() & 0o777), (0o640, 0o600));
    assert_ne!(before.ino(), after.ino());
    assert_eq!(names(&dir), ["page.html"]);
}

#[test]
fn root_leaves_a_file_to_its_owner() {
    if !geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    let dir = TempDir::new();
    let path = dir.join("page.html");
    fs::write(&path, "old").unwrap();
    let (uid, gid) = (65_534, 65_533);
    std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
    write_atomically(&path, b"new", MODE).unwrap();
    let new = fs::metadata(&path).unwrap();
    assert_eq!((new.uid(), new.gid(), new.mode() & 0o777), (uid, gid, 0o644));
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn whoever_reads_the_old_file_keeps_it() {
    let dir = TempDir::new();
    let path = dir.join("page.html");
    fs::write(&path, "old").unwrap();
    let mut reader = File::open(&path).unwrap();
    write_atomically(&path, b"new", MODE).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old");
}

#[test]
fn a_link_in_a_private_directory_is_followed() {
    let dir = TempDir::new();
    fs::create_dir(dir.join("real")).unwrap();
    fs::write(dir.join("real/page"), "old").unwrap();
    symlink("real/page", dir.join("second")).unwrap();
    symlink(dir.join("second"), dir.join("first")).unwrap();
    write_atomically(&dir.join("first"), b"new", MODE).unwrap();
    assert!(fs::symlink_metadata(dir.join("first")).unwrap().is_symlink());
    assert_eq!(fs::read(dir.join("real/page")).unwrap(), b"new");
    writeln!(open_append(&dir.join("first")).unwrap(), "er").unwrap();
    assert_eq!(fs::read(dir.join("real/page")).unwrap(), b"newer\n");
}

#[test]
fn a_link_that_anybody_may_have_placed_is_refused() {
    let dir = TempDir::new();
    let shared = dir.join("tmp");
    fs::create_dir(&shared).unwrap();
    open_to_everybody(&shared);
    fs::write(dir.join("precious"), "precious").unwrap();
    symlink(dir.join("precious"), shared.join("trap")).unwrap();
    symlink(shared.join("trap"), dir.join("detour")).unwrap();
    symlink(dir.join("missing"), shared.join("dangling")).unwrap();
    for path in [shared.join("trap"), dir.join("detour"), shared.join("dangling")] {
        for error in [
            error_of(write_atomically(&path, b"x", MODE)),
            error_of(open_append(&path)),
            error_of(PidFile::create(&path)),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
    }
    assert_eq!(fs::read(dir.join("precious")).unwrap(), b"precious");
    assert!(!dir.join("missing").exists());
}

/// `tmp/dir` may be anybody's, so what it leads to is anybody's choice.
#[test]
fn a_link_in_the_middle_of_a_path_is_judged_like_one_at_its_end() {
    let dir = TempDir::new();
    let shared = dir.join("tmp");
    for name in ["tmp", "real", "etc"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    open_to_everybody(&shared);
    fs::write(dir.join("etc/page"), "precious").unwrap();
    symlink(dir.join("etc"), shared.join("dir")).unwrap();
    symlink("../etc", shared.join("near")).unwrap();
    symlink(shared.join("dir"), dir.join("detour")).unwrap();
    symlink("real", dir.join("good")).unwrap();
    for path in
        [shared.join("dir/page"), shared.join("near/page"), dir.join("detour/page"), dir.join("detour/new")]
    {
        for error in [
            error_of(write_atomically(&path, b"x", MODE)),
            error_of(open_append(&path)),
            error_of(PidFile::create(&path)),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}: {error}", path.display());
        }
    }
    assert_eq!(fs::read(dir.join("etc/page")).unwrap(), b"precious");
    assert_eq!(names(&dir.join("etc")), ["page"]);
    write_atomically(&dir.join("good/../good/page"), b"new", MODE).unwrap();
    assert_eq!(fs::read(dir.join("real/page")).unwrap(), b"new");
}

/// As root in a directory that was given to somebody else.
#[test]
fn a_link_that_another_user_has_placed_is_refused() {
    if !geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    let dir = TempDir::new();
    fs::write(dir.join("precious"), "precious").unwrap();
    symlink("precious", dir.join("page")).unwrap();
    std::os::unix::fs::lchown(dir.join("page"), Some(65_534), Some(65_534)).unwrap();
    assert_eq!(error_of(write_atomically(&dir.join("page"), b"x", MODE)).kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::read(dir.join("precious")).unwrap(), b"precious");
}

/// The path was looked at, and then a directory in it became a link.
#[test]
fn what_becomes_a_link_meanwhile_is_not_opened() {
    let dir = TempDir::new();
    fs::create_dir(dir.join("real")).unwrap();
    fs::write(dir.join("real/page"), "precious").unwrap();
    symlink("real", dir.join("link")).unwrap();
    for flags in [OFlag::O_WRONLY, OFlag::O_WRONLY | OFlag::O_APPEND] {
        let error = error_of(open(&dir.join("link/page"), flags, 0));
        assert_eq!(error.raw_os_error(), Some(nix::libc::ELOOP), "{error}");
    }
}

#[test]
fn links_in_a_circle_end() {
    let dir = TempDir::new();
    symlink("b", dir.join("a")).unwrap();
    symlink("a", dir.join("b")).unwrap();
    assert!(error_of(open_append(&dir.join("a"))).to_string().contains("too many symbolic links"));
}

#[test]
fn only_regular_files_are_replaced() {
    let dir = TempDir::new();
    fs::create_dir(dir.join("directory")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRWXU).unwrap();
    for (name, reason) in [("directory", "is a directory"), ("fifo", "is a FIFO")] {
        let error = error_of(write_atomically(&dir.join(name), b"x", MODE));
        assert!(error.to_string().ends_with(reason), "{error}");
        error_of(PidFile::create(&dir.join(name)));
    }
    assert_eq!(names(&dir), ["directory", "fifo"]);
}

#[test]
fn a_missing_directory_is_an_error() {
    let dir = TempDir::new();
    let path = dir.join("missing/page");
    assert_eq!(error_of(write_atomically(&path, b"x", MODE)).kind(), ErrorKind::NotFound);
    assert_eq!(error_of(open_append(&path)).kind(), ErrorKind::NotFound);
    assert_eq!(error_of(PidFile::create(&path)).kind(), ErrorKind::NotFound);
}

#[test]
fn a_log_is_appended_to() {
    let dir = TempDir::new();
    let path = dir.join("pen.log");
    for line in ["one\n", "two\n"] {
        open_append(&path).unwrap().write_all(line.as_bytes()).unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o133, 0);
}

#[test]
fn a_fifo_makes_nobody_wait() {
    let dir = TempDir::new();
    let path = dir.join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let mut log = open_append(&path).unwrap();
    log.write_all(b"line\n").unwrap();
    let full = std::iter::repeat_with(|| log.write(&[b'x'; 4096])).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let mut line = [0; 5];
    File::open(&path).unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"line\n");
}

#[test]
fn the_standard_streams_can_be_logs() {
    for name in ["/dev/stdout", "/dev/stderr", "/dev/null"] {
        open_append(Path::new(name)).unwrap().write_all(b"").unwrap();
    }
    assert!(standard_stream(Path::new("/dev/stdout")).unwrap().is_ok());
    assert!(standard_stream(Path::new("/dev/null")).is_none());
}

#[test]
fn the_pid_file_names_this_process_without_a_newline_and_goes_with_it() {
    let dir = TempDir::new();
    let path = dir.join("pen.pid");
    let file = PidFile::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
    assert_eq!(names(&dir), ["pen.pid"]);
    drop(file);
    assert!(names(&dir).is_empty());
}

#[test]
fn a_pid_file_in_use_is_refused_and_one_left_behind_is_taken() {
    let dir = TempDir::new();
    let path = dir.join("pen.pid");
    fs::write(&path, "999999999").unwrap();
    let file = PidFile::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
    let error = error_of(PidFile::create(&path));
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    let wanted = format!("{} belongs to process {}, which is running", path.display(), std::process::id());
    assert_eq!(error.to_string(), wanted);
    assert_eq!(names(&dir), ["pen.pid"]);
    drop(file);
    drop(PidFile::create(&path).unwrap());
}

#[test]
fn of_many_that_start_at_once_one_gets_the_pid_file() {
    let dir = TempDir::new();
    let path = dir.join("pen.pid");
    for stale in [false, true] {
        if stale {
            fs::write(&path, "1").unwrap();
        }
        let holders: Vec<_> = std::thread::scope(|scope| {
            let starters: Vec<_> = (0..8).map(|_| scope.spawn(|| PidFile::create(&path).ok())).collect();
            starters.into_iter().filter_map(|starter| starter.join().unwrap()).collect()
        });
        assert_eq!(holders.len(), 1);
    }
}

#[test]
fn a_pid_file_that_another_has_replaced_is_left_alone() {
    let dir = TempDir::new();
    let path = dir.join("pen.pid");
    let file = PidFile::create(&path).unwrap();
    write_atomically(&path, b"4711", MODE).unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"4711");
}

/// As after a chroot, the path no longer leads to the file.
#[test]
fn a_pid_file_out_of_reach_is_emptied() {
    let dir = TempDir::new();
    let file = PidFile::create(&dir.join("pen.pid")).unwrap();
    fs::rename(dir.join("pen.pid"), dir.join("elsewhere")).unwrap();
    drop(file);
    assert_eq!(fs::read(dir.join("elsewhere")).unwrap(), b"");
}

/// As after giving up privileges: the file was prepared for pen, its directory was not.
#[test]
fn a_file_in_a_directory_that_may_not_be_written_is_kept() {
    let dir = TempDir::new();
    let path = dir.join("page.html");
    fs::write(&path, "old and longer").unwrap();
    let test = "writes_in_a_closed_directory";
    let Some(run) = as_nobody(&dir, test) else { return };
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert_eq!(fs::read(&path).unwrap(), b"");
}

/// The part of the test above that runs as another user.
#[test]
#[ignore = "started by a_file_in_a_directory_that_may_not_be_written_is_kept"]
fn writes_in_a_closed_directory() {
    let Some(path) = std::env::var_os("PEN_TEST_FILE").map(PathBuf::from) else {
        return eprintln!("skipped: another test starts this one");
    };
    let before = fs::metadata(&path).unwrap().ino();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_ne!(fs::read(&path).unwrap(), b"", "found empty");
            }
        });
        for text in ["long and longer", "new"].repeat(500) {
            assert_eq!(write_atomically(&path, text.as_bytes(), MODE).unwrap(), Written::InPlace);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), b"new");
    let file = PidFile::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
    assert_eq!(error_of(PidFile::create(&path)).kind(), ErrorKind::ResourceBusy);
    drop(file);
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
}

/// Runs one test of this program as the user nobody, who owns `page.html` but not `dir`. `None` (and a note) when
/// that takes more privileges than the test has.
fn as_nobody(dir: &Path, test: &str) -> Option<std::process::Output> {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return None;
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(dir.join("page.html"), Some(NOBODY), Some(NOBODY)).unwrap();
    // The program may lie where nobody may look.
    let program = dir.join("tests");
    // Another process copies it: what were open for writing here, a program of another test would inherit for a moment.
    let copied =
        std::process::Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&program).status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let command = std::process::Command::new(&program)
        .args(["--ignored", "--nocapture", test])
        .env("PEN_TEST_FILE", dir.join("page.html"))
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output();
    Some(command.unwrap())
}
