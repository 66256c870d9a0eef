//! What `penadmin user` does to a users file: one command at a time, whole or not at all.

use super::store::read;
use super::{Access, Key, User, Users, check_name, password};
use nix::fcntl::{Flock, FlockArg};
use pen_sys::{errors, files};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Of a new users file: nobody else's business.
const MODE: u32 = 0o600;

/// Adds the user or changes what is said of one: an empty password leaves the one that is there, keys are added.
///
/// # Errors
/// The file or the name is wrong, or a new user could not come in by anything.
pub fn set(path: &Path, name: &str, access: Access, password: &str, keys: Vec<Key>) -> Result<(), String> {
    check_name(name)?;
    if password.len() > password::BYTES_MAX {
        return Err(format!("want a password of at most {} bytes", password::BYTES_MAX));
    }
    let hash = if password.is_empty() { None } else { Some(password::hash(password)?) };
    change(path, |users| {
        let old = users.get(name).cloned();
        let (old_hash, mut all_keys) = old.map_or((None, Vec::new()), |old| (old.hash, old.keys));
        for key in keys {
            if !all_keys.contains(&key) {
                all_keys.push(key);
            }
        }
        let hash = hash.or(old_hash);
        if hash.is_none() && all_keys.is_empty() {
            return Err(format!("{name}: want a password on standard input, or --key"));
        }
        users.set(name, User { access, hash, keys: all_keys });
        Ok(())
    })
}

/// Removes the user.
///
/// # Errors
/// There is none of this name, or the file is wrong.
pub fn remove(path: &Path, name: &str) -> Result<(), String> {
    change(
        path,
        |users| {
            if users.remove(name) { Ok(()) } else { Err(format!("{}: no user {name}", path.display())) }
        },
    )
}

/// A line for each user: name, access, `password` or `-`, number and kinds of keys.
///
/// # Errors
/// The file cannot be read or is wrong.
pub fn list(path: &Path) -> Result<String, String> {
    fs::metadata(path).map_err(|error| format!("{}: {}", path.display(), errors::reason(&error)))?;
    let users = read(path)?;
    let line = |(name, user): (&str, &User)| {
        let mut words = vec![name, user.access.word(), user.hash.as_ref().map_or("-", |_| "password")];
        words.extend(user.keys.iter().filter_map(|key| key.as_str().split(' ').next()));
        format!("{}\n", words.join(" "))
    };
    Ok(users.iter().map(line).collect())
}

/// Reads the file, changes it and writes it, while no other penadmin does.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Users) -> Result<(), String>,
) -> Result<(), String> {
    let trouble = |error: std::io::Error| format!("{}: {}", path.display(), errors::reason(&error));
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The file itself is replaced, so a lock on it would be a lock on what was.
    let directory = File::open(directory).map_err(trouble)?;
    let _lock =
        Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, error)| trouble(error.into()))?;
    let mut users = read(path)?;
    change(&mut users)?;
    let mode = fs::metadata(path).map_or(MODE, |metadata| metadata.permissions().mode() & 0o660);
    files::write_atomically(path, users.to_string().as_bytes(), mode).map_err(trouble)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGOOZ2UWwG2hYJgPUxgDK5kKFqH3TYxJTdNMCwPiB1lz";

    fn key() -> Vec<Key> {
        vec![Key::parse(KEY).unwrap()]
    }

    #[test]
    fn users_come_change_and_go() {
        let directory = TempDir::new();
        let path = directory.path().join("users");
        assert!(list(&path).unwrap_err().ends_with("users: no such file or directory"));
        set(&path, "anna", Access::Full, "sesame", Vec::new()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        set(&path, "bob", Access::ReadOnly, "", key()).unwrap();
        assert_eq!(list(&path).unwrap(), "anna full password\nbob readonly - ssh-ed25519\n");

        set(&path, "anna", Access::ReadOnly, "", key()).unwrap();
        set(&path, "anna", Access::ReadOnly, "", key()).unwrap();
        assert!(list(&path).unwrap().starts_with("anna readonly password ssh-ed25519\n"), "the key once");
        let hash = read(&path).unwrap().get("anna").unwrap().hash.clone();
        assert!(password::verify("sesame", hash.as_deref()), "the password stays");

        remove(&path, "anna").unwrap();
        assert_eq!(list(&path).unwrap(), "bob readonly - ssh-ed25519\n");
    }

    #[test]
    fn what_cannot_be_changes_nothing() {
        let directory = TempDir::new();
        let path = directory.file("users", "bob:full:-\n");
        for (error, wanted) in [
            (set(&path, "anna", Access::Full, "", Vec::new()), "anna: want a password on standard input"),
            (set(&path, "a:b", Access::Full, "x", Vec::new()), "want a name"),
            (set(&path, "anna", Access::Full, &"x".repeat(2000), Vec::new()), "want a password of at most"),
        ] {
            assert!(error.as_ref().unwrap_err().starts_with(wanted), "{error:?}");
        }
        assert!(remove(&path, "anna").unwrap_err().ends_with("users: no user anna"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "bob:full:-\n");
    }

    #[test]
    fn two_at_once_both_stay() {
        let directory = TempDir::new();
        let path = directory.path().join("users");
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let path = &path;
                scope.spawn(move || set(path, name, Access::Full, "", key()).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().lines().count(), 4);
    }
}
