//! The pens that run on this machine: found by their control sockets, told apart by name, chosen by a person.
//!
//! Owns where to look, what is asked of each, and how long that may take. Who prints and who reads answers is the
//! caller's business.

use crate::table::{self, Colour, harmless};
use pen_proto::addr::quoted;
use pen_proto::status::ServiceLine;
use pen_sys::clock;
use pen_sys::control::{Address, Patience, Session};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long all of them together get to say who they are.
const PATIENCE_MS: u64 = 1_500;
/// Sockets that are looked at.
const SOCKETS_MAX: usize = 512;
/// The name that says nothing: such a socket is called by the name of its directory.
const CONTROL: &str = "control";

/// A control socket, and who was found behind it.
#[derive(Debug, Clone)]
pub struct Pen {
    pub name: String,
    pub path: PathBuf,
    pub state: State,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    Runs {
        pid: String,
        services: Vec<ServiceLine>,
        is_read_only: bool,
    },
    /// This user may not connect.
    Denied,
    /// Somebody listens and says nothing in time.
    Silent,
    /// Left behind by a process that has ended.
    Dead,
    /// Somebody else, or something else went wrong.
    Strange(String),
}

impl Pen {
    fn is_reached(&self) -> bool {
        matches!(self.state, State::Runs { .. })
    }

    /// Where commands go.
    pub fn address(&self) -> String {
        self.path.display().to_string()
    }

    /// What is wrong with it; `None` for one that runs and answers.
    fn trouble(&self) -> Option<String> {
        let trouble = match &self.state {
            State::Runs { .. } => return None,
            State::Denied => "you may not connect",
            State::Silent => "does not answer",
            State::Dead => "no process listens there; the socket was left behind",
            State::Strange(trouble) => trouble,
        };
        Some(format!("{}: {trouble}", harmless(&self.address())))
    }
}

/// Where pens are looked for: `PEN_RUN_DIR` alone, or else the user's own directory and the system's.
pub fn directories() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(only) = variable("PEN_RUN_DIR") {
        return vec![only];
    }
    let own = variable("XDG_RUNTIME_DIR").map(|directory| directory.join("pen"));
    own.into_iter().chain([PathBuf::from("/run/pen")]).collect()
}

/// Every control socket in these directories and those in them, with what came of asking it, in the order of their names.
pub fn find(directories: &[PathBuf]) -> Vec<Pen> {
    let sockets = sockets(directories);
    let asked: Vec<(PathBuf, String)> = sockets.into_iter().take(SOCKETS_MAX).collect();
    let until_ms = clock::monotonic_ms() + PATIENCE_MS;
    let (told, answers) = mpsc::channel();
    for (number, (path, _)) in asked.iter().enumerate() {
        let (told, path) = (told.clone(), path.clone());
        // One that hangs keeps its thread, and nobody waits for it.
        let started = thread::Builder::new().spawn(move || _ = told.send((number, ask(&path, until_ms))));
        drop(started);
    }
    drop(told);
    let mut states: BTreeMap<usize, State> = BTreeMap::new();
    loop {
        let left_ms = until_ms.saturating_sub(clock::monotonic_ms());
        match answers.recv_timeout(Duration::from_millis(left_ms)) {
            Ok((number, state)) => drop(states.insert(number, state)),
            Err(_) => break,
        }
    }
    let found = asked.into_iter().enumerate().map(|(number, (path, name))| {
        let state = states.remove(&number).unwrap_or(State::Silent);
        Pen { name, path, state }
    });
    let mut found: Vec<Pen> = found.collect();
    found.sort_by(|one, other| (&one.name, &one.path).cmp(&(&other.name, &other.path)));
    found
}

/// What the pens are called whose sockets are there, whether they run or not.
pub fn names() -> impl Iterator<Item = String> {
    sockets(&directories()).into_values()
}

/// The sockets in these directories and in those in them, with the name of each.
fn sockets(directories: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let mut sockets = BTreeMap::new();
    for directory in directories {
        for (path, is_socket) in entries(directory) {
            let found = if is_socket { vec![(path, true)] } else { entries(&path) };
            let found = found.into_iter().filter(|(_, is_socket)| *is_socket);
            sockets.extend(found.map(|(path, _)| (path.clone(), name_of(&path))));
        }
    }
    sockets
}

/// The sockets (true) and directories (false) in a directory; none when it cannot be read.
fn entries(directory: &Path) -> Vec<(PathBuf, bool)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let kind = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let found = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        match kind(&path)? {
            kind if kind.is_socket() => Some((path, true)),
            kind if kind.is_dir() => Some((path, false)),
            _ => None,
        }
    });
    found.take(SOCKETS_MAX).collect()
}

fn name_of(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(path).unwrap_or_default();
    match own == CONTROL {
        true => path.parent().and_then(name).unwrap_or(own),
        false => own,
    }
}

fn ask(path: &Path, until_ms: u64) -> State {
    let Ok(address) = Address::parse(&path.display().to_string()) else {
        return State::Strange("its path is too long for a socket".into());
    };
    let mut session = match Session::try_open(address, Patience::until(until_ms)) {
        Ok(session) => session,
        Err(error) => {
            return match error.kind() {
                ErrorKind::PermissionDenied => State::Denied,
                ErrorKind::ConnectionRefused | ErrorKind::NotFound => State::Dead,
                ErrorKind::TimedOut | ErrorKind::WouldBlock => State::Silent,
                _ => State::Strange(error.to_string()),
            };
        }
    };
    let is_read_only = session.is_read_only();
    let mut answer = |command: &str| session.ask(command).ok().and_then(Result::ok);
    let pid = answer("pid").map(|pid| pid.trim().to_owned());
    let services = answer("services json").and_then(|json| serde_json::from_str(&json).ok());
    match (pid, services) {
        (Some(pid), Some(services)) => State::Runs { pid, services, is_read_only },
        _ => State::Strange("is not the control socket of a pen".into()),
    }
}

/// The table of those that run, numbered from 1 on. Numbers are for those that can be chosen.
pub fn list(pens: &[Pen], colour: Colour, width: usize) -> String {
    let mut number = 0;
    let rows = pens.iter().filter(|pen| !matches!(pen.state, State::Dead | State::Strange(_))).map(|pen| {
        let (pid, access, services) = match &pen.state {
            State::Runs { pid, services, is_read_only } => {
                (&pid[..], if *is_read_only { "read-only" } else { "full" }, &services[..])
            }
            State::Denied => ("-", "denied", &[][..]),
            _ => ("-", "no answer", &[][..]),
        };
        number += usize::from(pen.is_reached());
        let names: Vec<&str> = services.iter().map(|service| &service.name[..]).collect();
        let listen: Vec<&str> =
            services.iter().flat_map(|service| service.listen.iter().map(String::as_str)).collect();
        let number = if pen.is_reached() { number.to_string() } else { "-".into() };
        [
            number,
            pen.name.clone(),
            pid.into(),
            access.into(),
            names.join(" "),
            listen.join(" "),
            pen.address(),
        ]
    });
    table::pens(rows.collect(), colour, width)
}

/// What is to be told of those that cannot be chosen.
pub fn troubles(pens: &[Pen]) -> impl Iterator<Item = String> {
    pens.iter().filter_map(Pen::trouble)
}

/// The one that is meant by a number of [`list`], a name or a path.
///
/// # Errors
/// There is none, or there are several of the name.
pub fn pick<'a>(pens: &'a [Pen], word: &str) -> Result<&'a Pen, String> {
    let mut reached = pens.iter().filter(|pen| pen.is_reached());
    if let Ok(number) = word.parse::<usize>() {
        let count = reached.clone().count();
        let meant = number.checked_sub(1).and_then(|index| reached.nth(index));
        return meant
            .ok_or_else(|| format!("want a number from 1 to {count} or a name, got {}", quoted(word)));
    }
    let is_it = |pen: &&Pen| pen.name == word || pen.address() == word;
    let named: Vec<&Pen> = pens.iter().filter(is_it).collect();
    match named[..] {
        [pen] => pen.trouble().map_or(Ok(pen), Err),
        [] => {
            let names: Vec<String> = reached.map(|pen| harmless(&pen.name)).collect();
            let known = if names.is_empty() { "none runs".into() } else { names.join(", ") };
            Err(format!("no pen is called {}: {known}", quoted(word)))
        }
        _ => Err(format!("several pens are called {}: want the number or the path", quoted(word))),
    }
}

/// The one that runs, if there is one only; of several the one that `which` names when it has seen the list. `None`: it
/// names none.
///
/// # Errors
/// None runs.
pub fn choose(
    pens: &[Pen],
    directories: &[PathBuf],
    which: impl FnOnce(&[Pen]) -> Result<Option<String>, String>,
) -> Result<Option<String>, String> {
    let reached: Vec<&Pen> = pens.iter().filter(|pen| pen.is_reached()).collect();
    match reached[..] {
        [] => {
            let places: Vec<String> =
                directories.iter().map(|it| harmless(&it.display().to_string())).collect();
            Err(format!(
                "no pen found in {}; want the address of its control socket, or PEN_RUN_DIR",
                places.join(" or ")
            ))
        }
        [only] => Ok(Some(only.address())),
        _ => which(pens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pen(path: &str, state: State) -> Pen {
        Pen { name: name_of(Path::new(path)), path: path.into(), state }
    }

    fn runs(is_read_only: bool) -> State {
        let service = |name: &str, listen: &str| ServiceLine {
            name: name.into(),
            listen: vec![listen.into()],
            ..Default::default()
        };
        let services = vec![service("main", "80"), service("mail", "[::1]:25")];
        State::Runs { pid: "17".into(), services, is_read_only }
    }

    fn some() -> Vec<Pen> {
        vec![
            pen("/run/pen/dead", State::Dead),
            pen("/run/pen/mail/control", State::Denied),
            pen("/run/pen/pen-80", runs(true)),
            pen("/run/pen/web/control", runs(false)),
        ]
    }

    #[test]
    fn a_socket_called_control_has_the_name_of_its_directory() {
        for (path, name) in
            [("/run/pen/control", "pen"), ("/run/pen/web/control", "web"), ("/run/pen/pen-80", "pen-80")]
        {
            assert_eq!(name_of(Path::new(path)), name);
        }
    }

    #[test]
    fn who_runs_is_listed_with_a_number_if_it_can_be_chosen() {
        let expected = [
            "#  NAME    PID  ACCESS     SERVICES   LISTEN       SOCKET",
            "-  mail      -  denied     -          -            /run/pen/mail/control",
            "1  pen-80   17  read-only  main mail  80 [::1]:25  /run/pen/pen-80",
            "2  web      17  full       main mail  80 [::1]:25  /run/pen/web/control",
        ];
        assert_eq!(list(&some(), Colour::Never, 200).lines().collect::<Vec<_>>(), expected);
        assert!(list(&some(), Colour::Never, 40).lines().all(|line| line.chars().count() <= 40));
        let troubles: Vec<String> = troubles(&some()).collect();
        let dead = "/run/pen/dead: no process listens there; the socket was left behind";
        assert_eq!(troubles, [dead, "/run/pen/mail/control: you may not connect"]);
    }

    #[test]
    fn one_is_meant_by_number_name_or_path() {
        let pens = some();
        for (word, path) in [("1", 2), ("2", 3), ("web", 3), ("pen-80", 2), ("/run/pen/web/control", 3)] {
            assert_eq!(pick(&pens, word).unwrap().path, pens[path].path, "{word}");
        }
        for (word, trouble) in [
            ("0", "want a number from 1 to 2 or a name, got \"0\""),
            ("3", "want a number from 1 to 2 or a name, got \"3\""),
            ("mail", "/run/pen/mail/control: you may not connect"),
            ("x\x1b", "no pen is called \"x\\x1b\": pen-80, web"),
        ] {
            assert_eq!(pick(&pens, word).unwrap_err(), trouble);
        }
        let twice = [pen("/a/web", runs(false)), pen("/b/web", runs(false))];
        assert!(pick(&twice, "web").unwrap_err().starts_with("several pens are called \"web\""));
    }

    #[test]
    fn one_pen_is_chosen_at_once() {
        let places = [PathBuf::from("/run/pen")];
        let never = |_: &[Pen]| panic!("nobody is to be asked");
        let alone = [pen("/run/pen/dead", State::Dead), pen("/run/pen/web/control", runs(false))];
        assert_eq!(choose(&alone, &places, never), Ok(Some("/run/pen/web/control".into())));
        assert!(choose(&alone[..1], &places, never).unwrap_err().starts_with("no pen found in /run/pen;"));
        assert_eq!(choose(&some(), &places, |_| Ok(None)), Ok(None));
    }
}
