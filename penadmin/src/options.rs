//! The command line of penadmin. Pure.

use crate::users::{Access, Key};
use getopts::Options;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: penadmin user FILE NAME full|readonly [--key KEY]...
       penadmin user FILE list
       penadmin user FILE remove NAME

Manages who may administer pens. A user with access full may do everything
that pen does, one with readonly may look.

  --key KEY       a public key of OpenSSH, \"ssh-ed25519 AAAA...\"; may be
                  repeated, and is added to those that the user has
  -h, --help      print this
      --version   print the version

The password is read from standard input, and hashed with argon2id. An empty
one leaves the user the password that is there, or with --key none.
";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    /// `penadmin user FILE NAME full|readonly`.
    SetUser {
        file: PathBuf,
        name: String,
        access: Access,
        keys: Vec<Key>,
    },
    /// `penadmin user FILE list`.
    ListUsers(PathBuf),
    /// `penadmin user FILE remove NAME`.
    RemoveUser(PathBuf, String),
}

/// Reads the arguments.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut options = Options::new();
    options.optflag("h", "help", "").optflag("", "version", "").optmulti("", "key", "", "KEY");
    let matches = options.parse(arguments).map_err(|error| error.to_string())?;
    if matches.opt_present("help") {
        return Ok(Request::Help);
    }
    if matches.opt_present("version") {
        return Ok(Request::Version);
    }
    let words: Vec<&str> = matches.free.iter().map(String::as_str).collect();
    let keys = matches.opt_strs("key").iter().map(|key| Key::parse(key)).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|reason| format!("--key: {reason}"))?;
    match &words[..] {
        ["user", file, "list"] if keys.is_empty() => Ok(Request::ListUsers(file.into())),
        ["user", file, "remove", name] if keys.is_empty() => {
            Ok(Request::RemoveUser(file.into(), name.to_string()))
        }
        ["user", file, name, access] => Ok(Request::SetUser {
            file: file.into(),
            name: name.to_string(),
            access: Access::parse(access)?,
            keys,
        }),
        ["user", ..] => {
            Err("user: want FILE NAME full|readonly [--key KEY]..., FILE list or FILE remove NAME".into())
        }
        _ => Err("want user FILE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Request, String> {
        parse(&arguments.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn users_are_set_listed_and_removed() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGOOZ2UWwG2hYJgPUxgDK5kKFqH3TYxJTdNMCwPiB1lz";
        assert_eq!(
            read(&["user", "u", "anna", "full", "--key", key]),
            Ok(Request::SetUser {
                file: "u".into(),
                name: "anna".into(),
                access: Access::Full,
                keys: vec![Key::parse(key).unwrap()],
            })
        );
        assert_eq!(read(&["user", "u", "list"]), Ok(Request::ListUsers("u".into())));
        assert_eq!(
            read(&["user", "u", "remove", "anna"]),
            Ok(Request::RemoveUser("u".into(), "anna".into()))
        );
        for (words, reason) in [
            (&["user", "u"][..], "user: want FILE NAME"),
            (&["user", "u", "list", "--key", key], "user: want FILE NAME"),
            (&["user", "u", "anna", "all"], "want full or readonly"),
            (&["user", "u", "anna", "full", "--key", "x"], "--key: want a public key"),
            (&["frob"], "want user FILE"),
            (&["--frob"], "Unrecognized option"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.starts_with(reason), "{words:?}: {error}");
        }
        assert_eq!(read(&["--help"]), Ok(Request::Help));
    }
}
