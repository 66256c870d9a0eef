//! The key by which clients know this door again: a file as ssh-keygen makes it, without a passphrase.

use pen_sys::{errors, files};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{HashAlg, LineEnding};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The largest file.
const BYTES_MAX: u64 = 64 << 10;
/// Whoever reads the key can pose as this door.
const MODE: u32 = 0o600;
/// Permissions that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// Reads the key. Where there is no file, one with a new Ed25519 key is made, which others cannot read from the first
/// moment on; nothing that is there is ever replaced.
///
/// # Errors
/// It cannot be read or made, others may read it, or it holds no key that can be used.
pub fn load(path: &Path) -> Result<PrivateKey, String> {
    let key = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        _ => read(path),
    };
    key.map_err(|reason| format!("{}: {reason}", path.display()))
}

/// How people compare keys: `SHA256:...`.
pub fn fingerprint(key: &PrivateKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn read(path: &Path) -> Result<PrivateKey, String> {
    let file = files::open_regular(path).map_err(|error| errors::reason(&error))?;
    let metadata = file.metadata().map_err(|error| errors::reason(&error))?;
    if metadata.mode() & OTHERS != 0 {
        return Err("others may read or write it: chmod 600".into());
    }
    let mut text = String::new();
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|error| errors::reason(&error))?;
    let key = PrivateKey::from_openssh(&text)
        .map_err(|_| "want a private key of OpenSSH, as ssh-keygen -t ed25519 makes it")?;
    if key.is_encrypted() {
        return Err("want a key without a passphrase".into());
    }
    match key.algorithm().is_rsa() || key.algorithm().is_dsa() {
        true => Err("want a key of type ed25519 or ecdsa".into()),
        false => Ok(key),
    }
}

fn make(path: &Path) -> Result<PrivateKey, String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    let text = key.to_openssh(LineEnding::LF).map_err(|error| error.to_string())?;
    write(path, text.as_bytes()).map_err(|error| errors::reason(&error))?;
    Ok(key)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key would stop every start from now on.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_sys::tempdir::TempDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let directory = TempDir::new();
        let path = directory.path().join("host_key");
        let made = load(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fingerprint(&load(&path).unwrap()), fingerprint(&made));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&path).unwrap_err().ends_with("others may read or write it: chmod 600"));
    }

    #[test]
    fn what_is_no_key_is_refused_and_left_alone() {
        let directory = TempDir::new();
        let path = directory.file("host_key", "nonsense\n");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(load(&path).unwrap_err().contains("want a private key of OpenSSH"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense\n");
        assert!(load(Path::new("/nowhere/host_key")).unwrap_err().contains("no such file"));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/nowhere/host_key", &link).unwrap();
        assert!(load(&link).is_err());
    }
}
