//! The command line of penadmin. Pure.

use crate::users::{Access, Key};
use crate::{ssh, web};
use getopts::{Matches, Options};
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: penadmin [OPTION]... --users FILE [NAME=]CONTROL...
       penadmin user FILE NAME full|readonly [--key KEY]...
       penadmin user FILE list
       penadmin user FILE remove NAME
       penadmin import CONFIG.XML FILE

Lets people administer one pen or many in a browser. CONTROL is a control
socket, a path or HOST:PORT; NAME is what the page calls that pen.

  --users FILE      who may come in; read again when it changes
  --listen ADDRESS  HOST:PORT, or PORT of this machine alone [127.0.0.1:8088];
                    other machines need TLS
  --tls-cert FILE   certificate chain, PEM
  --tls-key FILE    its private key, PEM
  --name HOST       a name under which browsers may find the page without TLS,
                    beside localhost and addresses; may be repeated
  --ssh ADDRESS     HOST:PORT, or PORT of this machine alone, for ssh with the
                    keys of the users
  --host-key FILE   its private key, as ssh-keygen makes it; made if missing
  --audit FILE      every change is a line of it; else of standard error
  -h, --help        print this
      --version     print the version

HUP opens the audit file again and reads the certificate again.

penadmin user manages the file of users. Access full may do everything that
pen does, readonly may look. The password is read from standard input, and
hashed with argon2id. An empty one leaves the user the password that is there.

  --key KEY         a public key of OpenSSH, \"ssh-ed25519 AAAA...\", added to
                    those that the user has; may be repeated

penadmin import adds the users of a configuration of txLoadBalancer or
PythonDirector to the file of users. Those who are in it stay as they are. The
others have no password before penadmin user sets one.
";

/// Where the page is if nothing is said.
const LISTEN: &str = "127.0.0.1:8088";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Version,
    Serve(Settings),
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
    /// `penadmin import CONFIG.XML FILE`.
    Import {
        config: PathBuf,
        file: PathBuf,
    },
}

/// What the server needs to know.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub users: PathBuf,
    pub audit: Option<PathBuf>,
    /// `[NAME=]CONTROL` each.
    pub pens: Vec<String>,
    pub web: web::Settings,
    pub ssh: Option<ssh::Settings>,
}

/// Reads the arguments.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut options = Options::new();
    options.optflag("h", "help", "").optflag("", "version", "").optmulti("", "key", "", "KEY");
    for name in OF_SERVER.into_iter().filter(|name| *name != "name") {
        options.optopt("", name, "", "");
    }
    options.optmulti("", "name", "", "HOST");
    let matches = options.parse(arguments).map_err(|error| error.to_string())?;
    if matches.opt_present("help") {
        return Ok(Request::Help);
    }
    if matches.opt_present("version") {
        return Ok(Request::Version);
    }
    match matches.free.first().map(String::as_str) {
        Some("user") => user(&matches),
        Some("import") => import(&matches),
        _ => serve(&matches).map(Request::Serve),
    }
}

const OF_SERVER: [&str; 8] = ["users", "listen", "tls-cert", "tls-key", "ssh", "host-key", "audit", "name"];

fn import(matches: &Matches) -> Result<Request, String> {
    if let Some(name) = OF_SERVER.iter().chain(&["key"]).find(|name| matches.opt_present(name)) {
        return Err(format!("--{name} does not go with penadmin import"));
    }
    match &matches.free[1..] {
        [config, file] => Ok(Request::Import { config: config.into(), file: file.into() }),
        _ => Err("import: want CONFIG.XML FILE".into()),
    }
}

fn user(matches: &Matches) -> Result<Request, String> {
    if let Some(name) = OF_SERVER.into_iter().find(|name| matches.opt_present(name)) {
        return Err(format!("--{name} does not go with penadmin user"));
    }
    let keys = matches.opt_strs("key").iter().map(|key| Key::parse(key)).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|reason| format!("--key: {reason}"))?;
    let words: Vec<&str> = matches.free[1..].iter().map(String::as_str).collect();
    match &words[..] {
        [file, "list"] if keys.is_empty() => Ok(Request::ListUsers(file.into())),
        [file, "remove", name] if keys.is_empty() => Ok(Request::RemoveUser(file.into(), name.to_string())),
        [file, name, access] => {
            let access = Access::parse(access)?;
            Ok(Request::SetUser { file: file.into(), name: name.to_string(), access, keys })
        }
        _ => Err("user: want FILE NAME full|readonly [--key KEY]..., FILE list or FILE remove NAME".into()),
    }
}

fn serve(matches: &Matches) -> Result<Settings, String> {
    if matches.opt_present("key") {
        return Err("--key goes with penadmin user alone".into());
    }
    let path = |name| matches.opt_str(name).map(PathBuf::from);
    let tls = match (path("tls-cert"), path("tls-key")) {
        (Some(chain), Some(key)) => Some((chain, key)),
        (None, None) => None,
        _ => return Err("want both of --tls-cert and --tls-key".into()),
    };
    let ssh = match (matches.opt_str("ssh"), path("host-key")) {
        (Some(listen), Some(host_key)) => Some(ssh::Settings { listen, host_key }),
        (None, None) => None,
        _ => return Err("want both of --ssh and --host-key".into()),
    };
    if matches.free.is_empty() {
        return Err("want the control socket of a pen".into());
    }
    Ok(Settings {
        users: path("users").ok_or("want --users FILE; penadmin user makes it")?,
        audit: path("audit"),
        pens: matches.free.clone(),
        web: web::Settings {
            listen: matches.opt_str("listen").unwrap_or_else(|| LISTEN.into()),
            tls,
            names: matches.opt_strs("name"),
        },
        ssh,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Request, String> {
        parse(&arguments.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn users_are_set_listed_removed_and_imported() {
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
        assert_eq!(
            read(&["import", "config.xml", "u"]),
            Ok(Request::Import { config: "config.xml".into(), file: "u".into() })
        );
        for (words, reason) in [
            (&["user", "u"][..], "user: want FILE NAME"),
            (&["import", "config.xml"], "import: want CONFIG.XML FILE"),
            (&["import", "c", "u", "--audit", "a"], "--audit does not go with penadmin import"),
            (&["import", "c", "u", "--key", key], "--key does not go with penadmin import"),
            (&["user", "u", "list", "--key", key], "user: want FILE NAME"),
            (&["user", "u", "anna", "all"], "want full or readonly"),
            (&["user", "u", "anna", "full", "--key", "x"], "--key: want a public key"),
            (&["user", "u", "list", "--listen", "80"], "--listen does not go with penadmin user"),
            (&[], "want the control socket of a pen"),
            (&["/run/pen"], "want --users FILE"),
            (&["/run/pen", "--users", "u", "--key", "x"], "--key goes with penadmin user alone"),
            (&["/run/pen", "--users", "u", "--tls-key", "x"], "want both of --tls-cert and --tls-key"),
            (&["/run/pen", "--users", "u", "--ssh", "22"], "want both of --ssh and --host-key"),
            (&["--frob"], "Unrecognized option"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.starts_with(reason), "{words:?}: {error}");
        }
        assert_eq!(read(&["--help"]), Ok(Request::Help));
    }

    #[test]
    fn the_unit_starts_what_is_understood() {
        let unit = include_str!("../../packaging/penadmin.service");
        let line =
            unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/penadmin ")).unwrap();
        let Ok(Request::Serve(settings)) = read(&line.split(' ').collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        assert_eq!(settings.pens, ["/run/pen/control"]);
        let page = include_str!("../../docs/man/penadmin.1").replace("\\-", "-");
        for option in USAGE.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
            let option = option.trim_end_matches([']', '.']);
            assert!(page.contains(&format!("Fl -{option}")), "the manual page has no --{option}");
        }
    }

    #[test]
    fn a_server_has_users_and_pens() {
        let words = [
            "--users",
            "u",
            "a=/run/a",
            "/run/b",
            "--name",
            "x",
            "--audit",
            "l",
            "--ssh",
            "2222",
            "--host-key",
            "k",
        ];
        let settings = Settings {
            users: "u".into(),
            audit: Some("l".into()),
            pens: vec!["a=/run/a".into(), "/run/b".into()],
            web: web::Settings { listen: LISTEN.into(), tls: None, names: vec!["x".into()] },
            ssh: Some(ssh::Settings { listen: "2222".into(), host_key: "k".into() }),
        };
        assert_eq!(read(&words), Ok(Request::Serve(settings)));
    }
}
