//! The rows about commands and configuration.

use super::{FILE, JSON, OPTIONAL_FILE, arg, file, optional, text};
use crate::addr::quoted;
use crate::commands::{
    Action, Address, AddressValue, Answer, Arg, Argument, Complete, Kind, Number, Question, Row, Scope, Text,
    When,
};

const LIVE: Row = Row { scope: Scope::Process, ..super::LIVE };
const NEW: Row = Row { scope: Scope::Process, ..super::NEW };

const OPTION: Row = Row { kind: Kind::OptionOnly, when: When::Start, ..LIVE };

const LINE: &[Arg] = &[arg("COMMAND", Complete::Command)];

/// What the system may know as a group.
fn group_name(word: &str) -> Result<String, String> {
    match !word.is_empty() && !word.contains(|letter: char| letter.is_control() || letter == ':') {
        true => Ok(word.to_owned()),
        false => Err(format!("want the name or number of a group, got {}", quoted(word))),
    }
}

pub const ROWS: &[Row] = &[
    Row {
        word: "apply",
        args: FILE,
        kind: Kind::Deed(Argument::File(Action::Apply)),
        summary: "make the configuration that of a file, all or nothing",
        detail: "pen carries out exactly the commands that `diff FILE` shows, all or none, and answers them. \
                 What the services have and FILE does not say goes back to the default or is removed. What \
                 differs in settings that only the start of pen can change stands in the answer behind `#`, \
                 and stays. Open connections continue, as after each of the commands.",
        ..NEW
    },
    Row {
        word: "autosave",
        args: &[optional("SECONDS", Complete::Number), optional("KEEP", Complete::Number)],
        scope: Scope::Process,
        kind: Kind::Every {
            number: Number::Autosave,
            seconds_max: 86_400,
            count_max: 1_000,
            count_default: 10,
        },
        unit: "copies",
        summary: "save what commands have changed into the configuration file, so often; 0: never",
        detail: "Every SECONDS seconds, and at its end, pen writes the file of `-F` as `write` does, if something \
                 has changed. The file as it was stays beside it as FILE-YYYYmmddHHMMSS; the newest KEEP copies \
                 are kept. pen does not overwrite a file that others have changed since pen read or wrote it, and \
                 reports that once: HUP reads it, and `write` replaces it. A full disk or missing rights are \
                 reported once too, and tried again; the file is replaced as a whole or not at all. A file that \
                 is a link is left alone.",
        ..NEW
    },
    Row {
        word: "client_of",
        args: &[arg("HOST:PORT", Complete::Address)],
        scope: Scope::Process,
        kind: Kind::Question(Argument::SocketAddress(Question::ClientOf)),
        summary: "say who is the client of a connection that a server sees",
        detail: "HOST:PORT is the address that a server sees as that of its client, which is an address of pen. \
                 Answers the address and port of the true client, of a connection or of a UDP session. \
                 Connections to different servers may have the same address here: then prints a line for \
                 each, with `server` and the server's address behind it. An error when there is no such \
                 connection. Not with direct server return, where servers see the clients themselves.",
        ..NEW
    },
    Row {
        word: "diff",
        args: &[arg("FILE", Complete::Path), optional("reverse", Complete::Words(&["reverse"]))],
        kind: Kind::Deed(Argument::FileWith("reverse", |file, reverse| Action::Diff { file, reverse })),
        summary: "show the commands that would make the configuration that of a file",
        detail: "Prints just the commands that differ, a line each, and changes nothing: `apply FILE` carries \
                 them out. FILE says everything about services: what it does not say is default, and services \
                 and servers that it does not name go. Settings of the process that it does not name stay, as \
                 do the listening address and the servers of `-e` and `-B` from the command line. With \
                 `reverse`, prints the commands that lead from FILE back to the present configuration.",
        ..NEW
    },
    Row {
        word: "control",
        kind: Kind::Question(Argument::Nothing(|| Question::Control)),
        summary: "show the address of the control port",
        detail: "As given with `-C`.",
        ..LIVE
    },
    Row {
        word: "control_fifo",
        args: OPTIONAL_FILE,
        kind: file(Text::ControlFifo, Answer::Value),
        when: When::Start,
        summary: "take lines of GLB's language from a FIFO",
        detail: "pen creates FILE with mode 0600 before it gives up root, and removes it at the end. A FIFO that \
                 no process reads is replaced. Replies are not written anywhere.",
        ..NEW
    },
    Row {
        word: "control_glb",
        args: &[optional("ADDRESS", Complete::Address)],
        kind: Kind::Address {
            address: Address::ControlGlb,
            read: AddressValue::local_listen,
            want: "an address",
            answer: Answer::Value,
        },
        when: When::Start,
        summary: "take lines of GLB's language on a socket of their own",
        detail: "Many lines on one connection, each with its reply: `HOST[:PORT[:WEIGHT]]` answers `Ok` or \
                 `Error`; `getinfo`, `getstat`. ADDRESS is `PORT` for the loopback interface, `HOST:PORT` or \
                 `[IPv6]:PORT`. Nobody is authenticated: see `control_acl`. Unlike `-C` it is opened for root \
                 too.",
        ..NEW
    },
    Row {
        word: "control_group",
        args: &[optional("NAME", Complete::Text)],
        kind: Kind::Text { text: Text::ControlGroup, read: group_name, answer: Answer::Value },
        when: When::Start,
        summary: "group whose members may give commands on Unix control sockets",
        detail: "By name or by number. pen makes the group the one of the sockets' files, and asks the system \
                 for the groups of whoever connects. `control_mode 660` lets members connect.",
        ..NEW
    },
    Row {
        word: "control_mode",
        args: &[optional("OCTAL", Complete::Text)],
        kind: Kind::Mode { number: Number::ControlMode, default: 0o600 },
        when: When::Start,
        summary: "permissions of Unix control sockets",
        detail: "Says who may connect. Root, the user that started pen and the user of `-u` may do \
                 everything, and so may members of `control_group`. All others only look: they may ask \
                 questions, but `status` only as `status json`. With 666 everybody may look.",
        ..NEW
    },
    Row {
        word: "exit",
        kind: Kind::Deed(Argument::Nothing(|| Action::Exit)),
        when: When::Guarded,
        summary: "end pen",
        detail: "Only if pen was started with `-X`.",
        ..LIVE
    },
    Row {
        word: "getinfo",
        kind: Kind::Question(Argument::Nothing(|| Question::Getinfo)),
        scope: Scope::Service,
        summary: "list the servers as GLB does",
        detail: "For scripts that were written for GLB. A line that is only `HOST:PORT` or \
                 `HOST:PORT:WEIGHT` is GLB's too: it adds the server, or changes its weight; with a negative \
                 weight it removes the server and cuts its connections. The reply is `Ok`.",
        ..NEW
    },
    Row {
        word: "getstat",
        kind: Kind::Question(Argument::Nothing(|| Question::Getstat)),
        scope: Scope::Service,
        summary: "show GLB's counters since the last getstat",
        detail: "One line: bytes from and to clients, bytes and calls of receiving and of sending, \
                 connections opened and open, sockets that became readable and writable, wake-ups, and the \
                 seconds since the last `getstat`. Calls and wake-ups are of all services together.",
        ..NEW
    },
    Row {
        word: "help",
        args: &[optional("COMMAND", Complete::Command)],
        kind: Kind::Question(Argument::Command(Question::Help)),
        summary: "list the commands, or explain one",
        detail: "Explains options too: `help -F`.",
        ..NEW
    },
    Row {
        word: "include",
        args: FILE,
        kind: Kind::Deed(Argument::File(Action::Include)),
        summary: "carry out the commands in a file",
        detail: "The file has one command on each line; a word that begins with `#` begins a comment.",
        ..LIVE
    },
    Row {
        word: "pid",
        kind: Kind::Question(Argument::Nothing(|| Question::Pid)),
        summary: "show the process number",
        ..LIVE
    },
    Row {
        word: "reload",
        kind: Kind::Deed(Argument::Nothing(|| Action::Reload)),
        summary: "read the configuration file again and wait for the result",
        detail: "Afterwards everything is as the file of `-F` says. What the file said before and no longer says \
                 goes back to the value of the command line, or to the default. What commands have set stays, \
                 unless the file says otherwise. The signal HUP does the same. The reply is empty, or has warnings, \
                 or has every error with its file and line; after an error no setting has changed, and `penctl` \
                 ends with exit status 1.",
        ..NEW
    },
    Row {
        word: "run_dir",
        args: &[optional("DIRECTORY", Complete::Path)],
        kind: file(Text::RunDir, Answer::Value),
        when: When::Start,
        summary: "directory in which penctl finds this pen",
        detail: "pen makes a control socket there, beside that of `-C`, and the directory if there is none. The \
                 socket's name is `pen-` and the first listening address, such as `pen-80`; when another pen \
                 answers there, as one that ends while its successor starts, the process number follows. No \
                 socket is made if that of `-C` is in the directory already. `penctl` without an address looks \
                 in `/run/pen` and `$XDG_RUNTIME_DIR/pen`, or in `$PEN_RUN_DIR` alone. As root it needs `-u`.",
        ..NEW
    },
    Row {
        word: "service",
        args: &[
            optional("add|remove", Complete::Words(&["add", "remove"])),
            arg("NAME", Complete::Service),
            optional("COMMAND", Complete::Command),
            optional("now", Complete::Words(&["now"])),
        ],
        kind: Kind::Service,
        summary: "select the service of a line; add or remove a service",
        detail: "A service has its own listeners, servers and settings. `service NAME COMMAND` applies a \
                 command to the service NAME. `service NAME` alone is a header: it applies to the lines that \
                 follow, to the next header or the end of the file or session. A file creates the services \
                 that it names; while pen runs, `service add NAME` does. With `service remove NAME` the \
                 listeners close at once and connections end on their own; with `now` pen cuts them. Lines \
                 that name no service are for `main`, or for the only service. Settings of the process apply \
                 to the process wherever they stand.",
        ..NEW
    },
    Row {
        word: "services",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Services)),
        summary: "list the services",
        detail: "Prints a line for each: name, `tcp`, `udp` or `dsr`, connections, servers and where it \
                 listens. With `json`, prints one JSON array.",
        ..NEW
    },
    Row {
        word: "session",
        kind: Kind::Deed(Argument::Nothing(|| Action::Session)),
        summary: "keep the control connection open for more commands",
        detail: "Normally the connection ends after one command. After this one, each line is a command and \
                 each answer has a header line with its length. The shell of penctl uses it.",
        ..NEW
    },
    Row {
        word: "version",
        kind: Kind::Question(Argument::Nothing(|| Question::Version)),
        summary: "show the version",
        ..NEW
    },
    Row {
        word: "write",
        args: OPTIONAL_FILE,
        kind: Kind::Deed(Argument::OptionalFile(Action::Write)),
        summary: "save the configuration as commands",
        detail: "Writes FILE, or else the file given with `-F`, and replaces it in one step.",
        ..LIVE
    },
    Row {
        word: "-C",
        letter: Some('C'),
        args: &[arg("ADDRESS", Complete::Address)],
        kind: Kind::Address {
            address: Address::Control,
            read: AddressValue::listen,
            want: "an address",
            answer: Answer::Silent,
        },
        summary: "listen for control commands",
        detail: "ADDRESS is `PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket. Commands are \
                 not authenticated: use a Unix socket, or `control_acl`. As root it needs `-u`.",
        ..OPTION
    },
    Row {
        word: "-F",
        letter: Some('F'),
        args: FILE,
        kind: text(Text::ConfigFile),
        summary: "configuration file: commands, one on each line",
        detail: "pen reads it after all options, and again on the signal HUP and by the command `reload`.",
        ..OPTION
    },
    Row {
        word: "-O",
        letter: Some('O'),
        args: LINE,
        summary: "carry out a command at start",
        detail: "May be repeated. Example: `-O 'acl 1 permit 10.0.0.0/8' -O 'client_acl 1'`.",
        ..OPTION
    },
    Row { word: "-o", letter: Some('o'), args: LINE, summary: "the same as -O", ..OPTION },
    Row {
        word: "--check",
        long: Some("check"),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "check options and configuration file, start nothing",
        detail: "pen reads everything that a start reads, also certificates, keys and the file of countries. \
                 It looks up all names and tests whether it can write its log and its pid file. It opens no \
                 port and changes nothing. The exit status is 0 and the reply `valid` if everything is correct; \
                 otherwise pen reports every error and where it is.",
        ..NEW
    },
];
