//! Who may come in, and what they may do: the users file.
//!
//! A line for each user, its parts with colons between them, as in /etc/passwd:
//! `NAME:full|readonly:HASH:KEY...`. HASH is argon2id in the PHC format, or `-` for somebody who has no password; each
//! KEY is a public key of OpenSSH without its remark. Lines that begin with `#` are remarks. This file reads and writes
//! lines; [`store`] is the file on the disk, [`password`] the hashes, [`edit`] what `penadmin user` does, and
//! [`import`] takes the users of txLoadBalancer.

pub mod edit;
pub mod import;
pub mod password;
pub mod store;

use pen_proto::addr::quoted;
use std::collections::BTreeMap;
use std::fmt;

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    ReadOnly,
    /// Everything that pen does.
    Full,
}

impl Access {
    /// Reads `full` or `readonly`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(word: &str) -> Result<Access, String> {
        match word {
            "full" => Ok(Access::Full),
            "readonly" => Ok(Access::ReadOnly),
            _ => Err(format!("want full or readonly, got {}", quoted(word))),
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Access::Full => "full",
            Access::ReadOnly => "readonly",
        }
    }
}

/// Keys that the door for ssh takes. RSA is not among them.
const KINDS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// How a key of this kind begins: its kind stands in it once more, behind its length, all in base64.
fn beginning(kind: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = [&(kind.len() as u32).to_be_bytes()[..], kind.as_bytes()].concat();
    // What the last bytes make together with those behind is left out.
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]))
    });
    groups.collect()
}

/// A public key, as in `authorized_keys` but for its remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Reads `TYPE BASE64 [REMARK]`. The remark is dropped.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Key, String> {
        let wrong = || format!("want a public key such as ssh-ed25519 AAAA..., got {}", quoted(text));
        let mut words = text.split_ascii_whitespace();
        let (Some(kind), Some(blob)) = (words.next(), words.next()) else { return Err(wrong()) };
        let is_base64 = blob.starts_with("AAAA")
            && blob.len() % 4 == 0
            && blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        if !is_base64 || !blob.starts_with(beginning(kind).as_str()) {
            return Err(wrong());
        }
        match KINDS.contains(&kind) {
            true => Ok(Key(format!("{kind} {blob}"))),
            false => Err(format!("want a key that is one of {}, got {kind}", KINDS.join(", "))),
        }
    }

    /// `TYPE BASE64`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub access: Access,
    /// As [`password::hash`] made it; `None` for somebody who has no password.
    pub hash: Option<String>,
    pub keys: Vec<Key>,
}

/// All users, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    by_name: BTreeMap<String, User>,
    /// The lines that begin with `#`. They are written before all users, wherever they stood.
    remarks: Vec<String>,
}

/// The longest name of a user.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether somebody may be called so: a letter or digit, then letters, digits, `-`, `_`, `.` and `@`.
///
/// # Errors
/// What was expected.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let is_name = name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(is_inner);
    if ["list", "remove"].contains(&name) {
        Err(format!("nobody may be called {name}, which is a command"))
    } else if is_name {
        Ok(())
    } else {
        Err(format!(
            "want a name of letters, digits, - _ . @, at most {NAME_BYTES_MAX}, got {}",
            quoted(name)
        ))
    }
}

impl Users {
    /// Reads the text of a users file.
    ///
    /// # Errors
    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Users, String> {
        let mut users = Users::default();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                users.remarks.push(line.to_owned());
                continue;
            }
            if line.trim().is_empty() {
                continue;
            }
            let (name, user) = user(line).map_err(|reason| format!("{}: {reason}", index + 1))?;
            if users.by_name.insert(name.clone(), user).is_some() {
                return Err(format!("{}: {name} is there twice", index + 1));
            }
        }
        Ok(users)
    }

    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    pub fn set(&mut self, name: &str, user: User) {
        self.by_name.insert(name.into(), user);
    }

    /// Whether there was one of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.by_name.iter().map(|(name, user)| (name.as_str(), user))
    }
}

fn user(line: &str) -> Result<(String, User), String> {
    let mut parts = line.trim_end().split(':');
    let (Some(name), Some(access), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("want NAME:full|readonly:HASH".into());
    };
    check_name(name)?;
    let access = Access::parse(access)?;
    let hash = match hash {
        "-" => None,
        hash => {
            password::check(hash)?;
            Some(hash.to_string())
        }
    };
    let keys = parts.map(Key::parse).collect::<Result<_, _>>()?;
    Ok((name.into(), User { access, hash, keys }))
}

/// As [`Users::parse`] reads it.
impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remarks.iter().try_for_each(|remark| writeln!(f, "{remark}"))?;
        for (name, user) in self.iter() {
            write!(f, "{name}:{}:{}", user.access.word(), user.hash.as_deref().unwrap_or("-"))?;
            for key in &user.keys {
                write!(f, ":{}", key.as_str())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGOOZ2UWwG2hYJgPUxgDK5kKFqH3TYxJTdNMCwPiB1lz";

    #[test]
    fn what_was_written_is_read() {
        let mut users = Users::default();
        let hash = password::hash("sesame").unwrap();
        let key = Key::parse(&format!("{KEY} anna@example")).unwrap();
        users.set("anna", User { access: Access::Full, hash: Some(hash), keys: vec![key.clone(), key] });
        users.set("bob@example.org", User { access: Access::ReadOnly, hash: None, keys: Vec::new() });
        let text = users.to_string();
        assert_eq!(Users::parse(&format!("\n{text}")), Ok(users));
        let remarked = Users::parse(&format!("# who\n\n{text}# and who else\n")).unwrap();
        assert_eq!(remarked.to_string(), format!("# who\n# and who else\n{text}"));
        assert!(text.contains(&format!(":{KEY}:{KEY}\nbob@example.org:readonly:-\n")), "{text}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, reason) in [
            ("\nanna", "2: want NAME:full|readonly:HASH"),
            ("anna:all:-", "1: want full or readonly, got \"all\""),
            ("a b:full:-", "1: want a name of letters, digits, - _ . @, at most 64, got \"a b\""),
            (":full:-", "1: want a name"),
            ("anna:full:", "1: want a hash that penadmin user made, or -"),
            ("anna:full:$1$x$y", "1: want a hash"),
            ("anna:full:-:", "1: want a public key"),
            ("anna:full:-:ssh-ed25519 BBBB", "1: want a public key"),
            ("anna:full:-:ssh-ed25519 AAAAB3NzaC1yc2EA", "1: want a public key"),
            (
                "anna:full:-:ssh-rsa AAAAB3NzaC1yc2EA",
                "1: want a key that is one of ssh-ed25519, ecdsa-sha2-nistp256",
            ),
            ("anna:full:-\nanna:readonly:-", "2: anna is there twice"),
        ] {
            let error = Users::parse(text).unwrap_err();
            assert!(error.starts_with(reason), "{text:?}: {error}");
        }
    }
}
