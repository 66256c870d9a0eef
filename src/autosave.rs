//! `autosave`: what was changed by commands is saved into the configuration file by itself.
//!
//! Owns what is known of the file: which one it was when pen read or wrote it last, and what the configuration was then.
//! A file that others have changed since is theirs, until it is read again or written by command. Trouble is told once,
//! and tried again. Called by the main loop.

use crate::control::apply::{Engine, Running};
use crate::log::diag::{self, Severity};
use crate::log::local_time;
use crate::sys::errors::reason;
use crate::sys::files::{NewFile, open_regular};
use pen_proto::commands::{Number, Text};
use pen_proto::rate::Rate;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Digits of the date and time behind the name of a copy.
const DATE_DIGITS: usize = 14;

/// Saves from time to time.
#[derive(Debug, Default)]
pub struct Autosave {
    /// The file when pen read or wrote it last; `None` where there was none.
    known: Option<Stamp>,
    /// What would have been written then.
    saved: String,
    /// How often the configuration had changed when it was looked at last.
    looked: u64,
    /// The file that is being read again.
    reading: Option<Stamp>,
    due_ms: Option<u64>,
    every_ms: u64,
    /// What was told last and holds still.
    told: Option<String>,
}

/// By which a file is known to be as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn at(file: &str) -> Option<Stamp> {
        fs::symlink_metadata(file).ok().map(|metadata| Stamp::of(&metadata))
    }
}

impl Autosave {
    /// The file is as pen has read it at start.
    pub fn new<R: Running>(engine: &Engine<R>) -> Autosave {
        let mut autosave = Autosave::default();
        autosave.know(engine, file_of(engine).and_then(Stamp::at), text_of(engine));
        autosave
    }

    /// The file is about to be read again.
    pub fn reading_begins<R: Running>(&mut self, engine: &Engine<R>) {
        self.reading = file_of(engine).and_then(Stamp::at);
    }

    /// The file was read again, and the configuration is what it says.
    pub fn reading_ends<R: Running>(&mut self, engine: &Engine<R>) {
        let stamp = self.reading.take();
        self.know(engine, stamp, text_of(engine));
    }

    /// When [`Autosave::turn`] has something to do at the latest.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Saves when it is time and something has changed.
    pub fn turn<R: Running>(&mut self, engine: &mut Engine<R>, now_ms: u64) {
        self.learn(engine);
        let Rate { count: seconds, .. } = wanted(engine);
        let every_ms = u64::from(seconds) * 1000;
        if every_ms != self.every_ms || every_ms == 0 {
            self.every_ms = every_ms;
            self.due_ms = (every_ms > 0).then_some(now_ms + every_ms);
        }
        if self.due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            self.due_ms = Some(now_ms + every_ms);
            self.save(engine);
        }
    }

    /// Saves at the end of pen what has changed since.
    pub fn end<R: Running>(&mut self, engine: &mut Engine<R>) {
        self.learn(engine);
        if wanted(engine).count > 0 {
            self.save(engine);
        }
    }

    /// A command may have written the file.
    fn learn<R: Running>(&mut self, engine: &mut Engine<R>) {
        if let Some(text) = engine.take_written() {
            self.know(engine, file_of(engine).and_then(Stamp::at), text);
        }
    }

    fn know<R: Running>(&mut self, engine: &Engine<R>, stamp: Option<Stamp>, text: String) {
        (self.known, self.saved, self.told) = (stamp, text, None);
        // One more look costs little.
        self.looked = engine.changes().wrapping_sub(1);
    }

    fn save<R: Running>(&mut self, engine: &mut Engine<R>) {
        let Some(file) = file_of(engine).map(str::to_owned) else { return };
        if engine.changes() == self.looked && self.told.is_none() {
            return;
        }
        self.looked = engine.changes();
        let text = text_of(engine);
        if text == self.saved {
            self.told = None;
            return;
        }
        let time = local_time::stamp(&local_time::now()).to_string();
        let whole = engine.config().write(&time);
        let replaced = Replacement {
            file: Path::new(&file),
            known: self.known.as_ref(),
            text: &whole,
            is_secret: engine.config().has_secret(),
        };
        match replaced.put(&time, wanted(engine).seconds as usize) {
            Ok(()) => {
                engine.has_saved(&whole);
                self.know(engine, Stamp::at(&file), text);
                self.looked = engine.changes();
            }
            Err(trouble) => {
                if self.told.as_ref() != Some(&trouble) {
                    diag::say(Severity::Error, format_args!("autosave: {file}: {trouble}"));
                }
                self.told = Some(trouble);
            }
        }
    }
}

fn file_of<R: Running>(engine: &Engine<R>) -> Option<&str> {
    engine.config().process.text(Text::ConfigFile)
}

/// What is written, but for the time.
fn text_of<R: Running>(engine: &Engine<R>) -> String {
    engine.config().write("")
}

/// Seconds between two saves, 0 for never, and how many copies are kept.
fn wanted<R: Running>(engine: &Engine<R>) -> Rate {
    Rate::from_bits(engine.config().process.number(Number::Autosave))
}

/// A new text for a file.
struct Replacement<'a> {
    file: &'a Path,
    known: Option<&'a Stamp>,
    text: &'a str,
    /// It is for nobody else to read.
    is_secret: bool,
}

impl Replacement<'_> {
    /// Puts the text in the place of the file that is known, and the old one beside it with the date. Follows no link.
    ///
    /// # Errors
    /// The file is not the known one, or what the system says. Then both are as they were.
    fn put(&self, time: &str, copies_max: usize) -> Result<(), String> {
        let Replacement { file, known, text, is_secret } = *self;
        let told = |error: io::Error| reason(&error);
        let metadata = fs::symlink_metadata(file).map_err(told)?;
        if metadata.is_symlink() {
            return Err("is a link, which is not followed: nothing is saved".into());
        }
        if Some(&Stamp::of(&metadata)) != known {
            return Err("others have changed it since pen read it: nothing is saved until HUP, which reads it, or write, \
                    which replaces it"
            .into());
        }
        let mut old = Vec::new();
        open_regular(file).and_then(|mut file| file.read_to_end(&mut old)).map_err(told)?;
        let mut new = NewFile::create(file, 0o644).map_err(told)?;
        if is_secret {
            fs::set_permissions(new.unfinished_path(), Permissions::from_mode(0o600)).map_err(told)?;
        }
        new.write_all(text.as_bytes()).map_err(told)?;
        let copy = copy_of(file, time);
        let mut beside = NewFile::create(&copy, metadata.mode() & 0o777).map_err(told)?;
        beside.write_all(&old).and_then(|()| beside.publish()).map_err(told)?;
        new.publish().map_err(|error| {
            // Or there would be one more with every try.
            let _ = fs::remove_file(&copy);
            reason(&error)
        })?;
        remove_old_copies(file, copies_max);
        Ok(())
    }
}

/// `FILE-YYYYmmddHHMMSS`; of several in one second the later ones have a number behind it.
fn copy_of(file: &Path, time: &str) -> PathBuf {
    let date: String = time.chars().filter(char::is_ascii_digit).collect();
    let name = |end: String| {
        let mut name = file.as_os_str().to_owned();
        name.push(format!("-{date}{end}"));
        PathBuf::from(name)
    };
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let numbered = (2..100).map(|number| name(format!(".{number}")));
    std::iter::once(name(String::new())).chain(numbered).find(is_free).unwrap_or_else(|| name(String::new()))
}

/// The newest stay. What cannot be removed stays too: the file is saved all the same.
fn remove_old_copies(file: &Path, copies_max: usize) {
    let (Some(name), directory) = (file.file_name(), file.parent().unwrap_or(Path::new(""))) else { return };
    let before = format!("{}-", name.to_string_lossy());
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut copies: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().strip_prefix(&before).is_some_and(is_date))
        .filter_map(|entry| {
            let metadata = fs::symlink_metadata(entry.path()).ok().filter(Metadata::is_file)?;
            Some(((metadata.mtime(), metadata.mtime_nsec()), entry.file_name(), entry.path()))
        })
        .collect();
    copies.sort();
    let surplus = copies.len().saturating_sub(copies_max);
    for (_, _, path) in copies.into_iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

/// What [`copy_of`] puts behind a name.
fn is_date(text: &str) -> bool {
    let (date, number) = text.split_once('.').unwrap_or((text, "2"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    date.len() == DATE_DIGITS && are_digits(date) && are_digits(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tempdir::TempDir;
    use std::os::unix::fs::symlink;

    fn known(file: &Path) -> Option<Stamp> {
        Stamp::at(file.to_str().unwrap())
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn replace(
        file: &Path,
        known: Option<&Stamp>,
        text: &str,
        time: &str,
        copies_max: usize,
    ) -> Result<(), String> {
        Replacement { file, known, text, is_secret: false }.put(time, copies_max)
    }

    #[test]
    fn the_newest_copies_stay_and_have_the_permissions_of_the_file() {
        let dir = TempDir::new();
        let file = dir.join("pen.conf");
        fs::write(&file, "0").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        for other in ["pen.conf-1", "pen.conf-2026010203040x", "pen.conf.bak", "other-20260102030405"] {
            fs::write(dir.join(other), "").unwrap();
        }
        for count in 1..=5 {
            let time = format!("2026-01-02 03:04:{:02}", count / 2);
            replace(&file, known(&file).as_ref(), &count.to_string(), &time, 3).unwrap();
        }
        let copies = ["pen.conf-20260102030401.2", "pen.conf-20260102030402", "pen.conf-20260102030402.2"];
        let kept: Vec<String> =
            names(&dir).into_iter().filter(|name| name.starts_with("pen.conf-2026010203040")).collect();
        assert_eq!(kept[..3], copies[..]);
        assert_eq!(copies.map(|name| fs::read_to_string(dir.join(name)).unwrap()), ["2", "3", "4"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), "5");
        assert_eq!(fs::metadata(dir.join(copies[0])).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(&dir).len(), 8, "{:?}", names(&dir));
        fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let before = known(&file);
        let secret = Replacement { file: &file, known: before.as_ref(), text: "s", is_secret: true };
        secret.put("2026-01-02 03:05:05", 3).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn neither_others_changes_nor_links_are_touched() {
        let dir = TempDir::new();
        let (file, link) = (dir.join("pen.conf"), dir.join("link"));
        fs::write(&file, "mine").unwrap();
        let before = known(&file);
        fs::write(&file, "another's").unwrap();
        let trouble = replace(&file, before.as_ref(), "new", "2026-01-02 03:04:05", 3).unwrap_err();
        assert!(trouble.starts_with("others have changed it since pen read it"), "{trouble}");
        symlink(&file, &link).unwrap();
        let trouble = replace(&link, known(&link).as_ref(), "new", "2026-01-02 03:04:05", 3).unwrap_err();
        assert!(trouble.starts_with("is a link"), "{trouble}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "another's");
        assert_eq!(names(&dir), ["link", "pen.conf"]);
    }

    #[test]
    fn when_the_copy_cannot_be_made_nothing_has_changed() {
        let dir = TempDir::new();
        // A name of the greatest length leaves no room for the date.
        let long = dir.join("a".repeat(250));
        fs::write(&long, "old").unwrap();
        replace(&long, known(&long).as_ref(), "new", "2026-01-02 03:04:05", 3).unwrap_err();
        assert_eq!(fs::read_to_string(&long).unwrap(), "old");
        assert_eq!(names(&dir).len(), 1);
    }
}
