//! The users file on the disk, read again when it has changed. Blocks its callers for a stat(2), now and then a read.

use super::Users;
use pen_sys::{errors, files};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest users file.
const BYTES_MAX: u64 = 4 << 20;

/// Write permission for others, in `st_mode`.
const OTHERS_WRITE: u32 = 0o002;

/// What tells one state of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// The users, as the file says now.
pub struct Store {
    path: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    /// `None` while the file is not there.
    stamp: Option<Stamp>,
    users: Arc<Users>,
}

impl Store {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, others may write it, or a line of it is wrong.
    pub fn open(path: PathBuf) -> Result<Store, String> {
        let (stamp, users) = load(&path)?;
        let known = Known { stamp: Some(stamp), users: Arc::new(users) };
        Ok(Store { path, known: Mutex::new(known) })
    }

    /// The users of this moment. A file that cannot be understood any more leaves them as they were, and `complain`
    /// hears why, once for each change; without a file there is nobody.
    pub fn users(&self, complain: impl FnOnce(&str)) -> Arc<Users> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match stamp(&self.path) {
            Ok(stamp) => Some(stamp),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // Not to be looked at for a moment is no reason to lock everybody out.
            Err(_) => known.stamp,
        };
        if stamp == known.stamp {
            return known.users.clone();
        }
        known.stamp = stamp;
        match load(&self.path) {
            Ok((stamp, users)) => {
                known.stamp = Some(stamp);
                known.users = Arc::new(users);
            }
            Err(reason) => {
                if stamp.is_none() {
                    known.users = Arc::default();
                }
                complain(&reason);
            }
        }
        known.users.clone()
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    Ok(stamp_of(&fs::metadata(path)?))
}

fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    Stamp { inode: metadata.ino(), bytes: metadata.len(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
}

fn load(path: &Path) -> Result<(Stamp, Users), String> {
    let read = || -> Result<(Stamp, Users), String> {
        let file = files::open_regular(path).map_err(|error| errors::reason(&error))?;
        let metadata = file.metadata().map_err(|error| errors::reason(&error))?;
        if metadata.mode() & OTHERS_WRITE != 0 {
            return Err("everybody may write it: chmod o-w".into());
        }
        let mut text = String::new();
        file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| errors::reason(&error))?;
        Ok((stamp_of(&metadata), Users::parse(&text)?))
    };
    read().map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Reads the users of a file that is to be changed; one that is not there yet has none.
///
/// # Errors
/// As [`Store::open`].
pub fn read(path: &Path) -> Result<Users, String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Users::default()),
        _ => load(path).map(|(_, users)| users),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;
    use std::os::unix::fs::PermissionsExt;

    fn names(store: &Store, complaints: &mut Vec<String>) -> Vec<String> {
        let users = store.users(|reason| complaints.push(reason.to_string()));
        users.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn the_file_is_read_again_when_it_changes() {
        let directory = TempDir::new();
        let path = directory.file("users", "anna:full:-\n");
        let store = Store::open(path.clone()).unwrap();
        let mut complaints = Vec::new();
        assert_eq!(names(&store, &mut complaints), ["anna"]);
        directory.file("users", "anna:full:-\nbob:readonly:-\n");
        assert_eq!(names(&store, &mut complaints), ["anna", "bob"]);
        directory.file("users", "anna\n");
        assert_eq!(names(&store, &mut complaints), ["anna", "bob"], "a broken one changes nothing");
        assert_eq!(names(&store, &mut complaints), ["anna", "bob"]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].ends_with("/users: 1: want NAME:full|readonly:HASH"), "{complaints:?}");
        fs::remove_file(&path).unwrap();
        assert!(names(&store, &mut complaints).is_empty(), "who takes the file away locks everybody out");
        directory.file("users", "eve:full:-\n");
        assert_eq!(names(&store, &mut complaints), ["eve"]);
    }

    #[test]
    fn a_file_that_everybody_may_write_is_refused() {
        let directory = TempDir::new();
        let path = directory.file("users", "anna:full:-\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Store::open(path).err().unwrap().ends_with("everybody may write it: chmod o-w"));
        assert!(Store::open("/nowhere/users".into()).err().unwrap().contains("no such file"));
    }
}
