//! Reads configuration files into commands.
//!
//! Owns `include`, the limits on files, and saying what is wrong where. Changes nothing: `control/apply` executes what
//! is read here, all of it or nothing. Called at start, by `reload.rs`, and for `include FILE` on the control socket.

use crate::control::apply::Placed;
use crate::sys::errors::reason;
use crate::sys::files::open_regular_or_null;
use pen_proto::commands::{Action, Command, ServiceChange};
use pen_proto::names::Name;
use pen_proto::parse;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// How deep files may include files.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// What a file and everything it includes may hold together.
pub const TOTAL_BYTES_MAX: u64 = 64 << 20;

/// Files that may be read for one request. Eight that include eight each, eight levels deep, would be sixteen million.
pub const FILES_MAX: usize = 1_024;

/// Lines that they may have together: two access lists of the greatest length.
pub const LINES_MAX: usize = 2_000_000;

/// Errors that are told at once; further ones are counted.
pub const ERRORS_MAX: usize = 10;

/// Where a command stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Everything that is wrong, a line each, at most [`ERRORS_MAX`] of them followed by a count of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Errors {
    told: Vec<String>,
    untold: usize,
}

impl Errors {
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Adds a complaint that begins with its place.
    pub fn push(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        if self.told.len() < ERRORS_MAX {
            self.told.push(format!("{place}: {what}"));
        } else {
            self.untold += 1;
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told.join("\n"))?;
        if self.untold > 0 {
            write!(f, "\nand {} more", self.untold)?;
        }
        Ok(())
    }
}

/// Reads `path` and the files it includes, in the order in which their commands stand. Relative paths are relative to
/// the current directory, also in an included file, as in Pen. `session` and `include` themselves do not come out.
/// The lines are for `service` until a header names another; a header counts to the end of its file, and in the files
/// that are included after it.
///
/// # Errors
///
/// Any line that is not understood, any file that cannot be read, a file that includes itself, and files that exceed
/// [`INCLUDE_DEPTH_MAX`], [`FILES_MAX`], [`LINES_MAX`] or [`TOTAL_BYTES_MAX`]. Then nothing is returned but the errors.
pub fn read(path: &str, service: Option<&Name>) -> Result<Vec<Placed>, Errors> {
    let mut reader = Reader::new(service.cloned());
    if let Err(trouble) = reader.read_file(path) {
        reader.errors.push(path, trouble);
    }
    if reader.errors.is_empty() { Ok(reader.commands) } else { Err(reader.errors) }
}

/// As [`read`], of a text that comes from somewhere else; `name` stands where the file's name would.
///
/// # Errors
///
/// Any line that is not understood.
pub fn read_text(name: &str, text: &str) -> Result<Vec<Placed>, Errors> {
    let mut reader = Reader::new(None);
    reader.read_lines(&Arc::from(name), text.as_bytes());
    if reader.errors.is_empty() { Ok(reader.commands) } else { Err(reader.errors) }
}

struct Reader {
    commands: Vec<Placed>,
    /// For whom lines are that name no service.
    service: Option<Name>,
    errors: Errors,
    /// Device and inode of the files that are being read, outermost first.
    open: Vec<(u64, u64)>,
    bytes_left: u64,
    files_left: usize,
    lines_left: usize,
    /// A limit on the whole was reached: nothing more is read, for it would only be more of the same.
    exhausted: bool,
}

impl Reader {
    fn new(service: Option<Name>) -> Reader {
        Reader {
            commands: Vec::new(),
            service,
            errors: Errors::default(),
            open: Vec::new(),
            bytes_left: TOTAL_BYTES_MAX,
            files_left: FILES_MAX,
            lines_left: LINES_MAX,
            exhausted: false,
        }
    }

    /// Reads a file; what is wrong inside is collected, what is wrong with the file itself is returned.
    fn read_file(&mut self, path: &str) -> Result<(), String> {
        let file = open_regular_or_null(Path::new(path)).map_err(|error| reason(&error))?;
        let metadata = file.metadata().map_err(|error| reason(&error))?;
        let identity = (metadata.dev(), metadata.ino());
        if self.open.contains(&identity) {
            return Err("includes itself".into());
        }
        if self.open.len() > INCLUDE_DEPTH_MAX {
            return Err(format!("included more than {INCLUDE_DEPTH_MAX} files deep"));
        }
        if self.files_left == 0 {
            self.exhausted = true;
            return Err(format!("more than {FILES_MAX} files of configuration"));
        }
        self.files_left -= 1;
        let bytes = self.read_bytes(file)?;
        self.open.push(identity);
        let service = self.service.clone();
        self.read_lines(&Arc::from(path), &bytes);
        self.service = service;
        self.open.pop();
        Ok(())
    }

    fn read_bytes(&mut self, file: File) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        file.take(self.bytes_left + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        match self.bytes_left.checked_sub(bytes.len() as u64) {
            Some(left) => {
                self.bytes_left = left;
                Ok(bytes)
            }
            None => {
                self.exhausted = true;
                Err(format!("more than {TOTAL_BYTES_MAX} bytes of configuration"))
            }
        }
    }

    fn read_lines(&mut self, file: &Arc<str>, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if self.exhausted {
                return;
            }
            let place = Place { file: file.clone(), line: index + 1 };
            if self.lines_left == 0 {
                self.exhausted = true;
                return self.errors.push(place, format_args!("more than {LINES_MAX} lines of configuration"));
            }
            self.lines_left -= 1;
            self.read_line(place, line.strip_suffix(b"\r").unwrap_or(line));
        }
    }

    fn read_line(&mut self, place: Place, line: &[u8]) {
        // A comment may be in any encoding; a command that is not UTF-8 would name some other file than was meant.
        let text = String::from_utf8_lossy(line);
        let line = match parse::line(&text) {
            Ok(None) => return,
            Ok(Some(_)) if matches!(text, std::borrow::Cow::Owned(_)) => {
                return self.errors.push(place, "is not UTF-8");
            }
            Ok(Some(line)) => line,
            Err(error) => return self.errors.push(place, error),
        };
        match line.command {
            Some(Command::Do(Action::Include(path))) => self.include(place, &path, line.service),
            Some(Command::Do(
                action @ (Action::Session | Action::Reload | Action::Apply(_) | Action::Diff { .. }),
            )) => {
                self.errors.push(place, format_args!("{}: only on the control socket", action.word()));
            }
            Some(command) => self.add(place, line.service, command),
            None => {
                self.service = line.service;
                let made = self.service.clone().map(|name| Command::Service(ServiceChange::Make(name)));
                made.into_iter().for_each(|command| self.add(place.clone(), None, command));
            }
        }
    }

    fn include(&mut self, place: Place, path: &str, service: Option<Name>) {
        let before = self.service.clone();
        self.service = service.or(before.clone());
        if let Err(trouble) = self.read_file(path) {
            self.errors.push(place, format_args!("include {path}: {trouble}"));
        }
        self.service = before;
    }

    fn add(&mut self, place: Place, service: Option<Name>, command: Command) {
        if self.commands.try_reserve(1).is_err() {
            self.exhausted = true;
            return self.errors.push(place, "no memory for more commands");
        }
        let service = service.or_else(|| self.service.clone());
        self.commands.push(Placed { place: Some(place), service, command });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tempdir::TempDir;
    use std::fs;

    struct Files(TempDir);

    impl Files {
        fn new() -> Files {
            Files(TempDir::new())
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).display().to_string()
        }

        fn add(&self, name: &str, text: impl AsRef<[u8]>) -> String {
            fs::write(self.path(name), text).unwrap();
            self.path(name)
        }
    }

    fn errors(path: &str) -> String {
        read(path, None).unwrap_err().to_string()
    }

    fn lines(path: &str) -> Vec<(String, usize)> {
        let places = read(path, None).unwrap().into_iter().filter_map(|placed| placed.place);
        places.map(|place| (place.file.to_string(), place.line)).collect()
    }

    #[test]
    fn commands_come_with_their_places() {
        let files = Files::new();
        let inner = files.add("inner", "\nhash\n");
        let text = format!("\u{feff}# comment\r\nblacklist 5\r\ninclude {inner}\r\n\r\nno hash");
        let outer = files.add("outer", text);
        assert_eq!(lines(&outer), [(outer.clone(), 2), (inner.clone(), 2), (outer.clone(), 5)]);
        assert_eq!(lines(&files.add("empty", "")), []);
    }

    #[test]
    fn every_error_names_its_line_word_and_wish() {
        let files = Files::new();
        let bad = files.add("bad", "hash\nserver 3 weight x\nbogus\nsession\n");
        let told = errors(&bad);
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with(&format!("{bad}:2: server 3: weight: want 0..")), "{told:?}");
        assert!(told[0].ends_with("got \"x\""), "{told:?}");
        assert!(told[1].starts_with(&format!("{bad}:3: \"bogus\"")), "{told:?}");
        assert!(told[2].starts_with(&format!("{bad}:4: session")), "{told:?}");
        let many = files.add("many", "bogus\n".repeat(25));
        assert_eq!(errors(&many).lines().count(), ERRORS_MAX + 1);
        assert!(errors(&many).ends_with("\nand 15 more"));
    }

    #[test]
    fn includes_that_go_in_circles_or_too_deep_are_errors() {
        let files = Files::new();
        let own = files.add("own", format!("hash\ninclude {}\n", files.path("own")));
        assert_eq!(errors(&own), format!("{own}:2: include {own}: includes itself"));
        let other = files.path("other");
        let first = files.add("first", format!("include {other}\n"));
        files.add("other", format!("include {first}\n"));
        assert_eq!(errors(&first), format!("{other}:1: include {first}: includes itself"));
        let deepest = INCLUDE_DEPTH_MAX + 1;
        for depth in 0..deepest {
            files.add(
                &format!("deep{depth}"),
                format!("include {}\n", files.path(&format!("deep{}", depth + 1))),
            );
        }
        files.add(&format!("deep{deepest}"), "hash\n");
        assert!(errors(&files.path("deep0")).ends_with("included more than 16 files deep"));
        assert_eq!(lines(&files.path("deep1")).len(), 1);
        let twice = files.add("twice", format!("include {0}\ninclude {0}\n", files.path("deep17")));
        assert_eq!(lines(&twice).len(), 2, "twice is no circle");
    }

    #[test]
    fn files_that_include_many_are_bounded() {
        let files = Files::new();
        for level in 0..8 {
            let next = format!("include {}\n", files.path(&format!("level{}", level + 1)));
            files.add(&format!("level{level}"), next.repeat(8));
        }
        files.add("level8", "hash\n");
        let told = errors(&files.path("level0"));
        assert!(told.ends_with("more than 1024 files of configuration"), "{told}");
        assert_eq!(told.lines().count(), 1, "said once: {told}");
        let many = format!("include {}\n", files.path("level8")).repeat(FILES_MAX - 1);
        assert_eq!(lines(&files.add("many", many)).len(), FILES_MAX - 1);
        let long = files.add("long", "\n".repeat(LINES_MAX) + "hash");
        assert_eq!(
            errors(&long),
            format!("{long}:{}: more than {LINES_MAX} lines of configuration", LINES_MAX + 1)
        );
    }

    #[test]
    fn only_files_are_read() {
        let files = Files::new();
        assert_eq!(lines("/dev/null"), []);
        assert_eq!(errors("/no/such/file"), "/no/such/file: no such file or directory");
        let fifo = files.path("fifo");
        nix::unistd::mkfifo(fifo.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&fifo, "/dev/zero", &files.0.display().to_string()] {
            assert_eq!(errors(path), format!("{path}: not a regular file"));
        }
    }

    #[test]
    fn old_encodings_are_fine_in_comments_only() {
        let files = Files::new();
        assert_eq!(lines(&files.add("comment", b"# l\xf6sung\nhash\n")).len(), 1);
        let path = files.add("path", b"web_stats /tmp/l\xf6sung\n");
        assert_eq!(errors(&path), format!("{path}:1: is not UTF-8"));
    }

    #[test]
    fn long_lines_are_whole_lines() {
        let files = Files::new();
        let comment = format!("#{}\nhash\n", "exit ".repeat(100_000));
        assert_eq!(lines(&files.add("long", comment)).len(), 1);
    }

    #[test]
    fn configuration_has_a_limit() {
        let files = Files::new();
        let huge = files.path("huge");
        File::create(&huge).unwrap().set_len(TOTAL_BYTES_MAX + 1).unwrap();
        assert_eq!(errors(&huge), format!("{huge}: more than {TOTAL_BYTES_MAX} bytes of configuration"));
    }
}
