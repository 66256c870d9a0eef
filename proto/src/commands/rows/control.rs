//! The rows about commands and configuration.

use super::{FILE, JSON, OPTIONAL_FILE, arg, optional, text};
use crate::commands::{
    Action, Address, AddressValue, Answer, Arg, Argument, Complete, Kind, Question, Row, Scope, Text, When,
};

const LIVE: Row = Row { scope: Scope::Process, ..super::LIVE };
const NEW: Row = Row { scope: Scope::Process, ..super::NEW };

const OPTION: Row = Row { kind: Kind::OptionOnly, when: When::Start, ..LIVE };

const LINE: &[Arg] = &[arg("COMMAND", Complete::Command)];

pub const ROWS: &[Row] = &[
    Row {
        word: "control",
        kind: Kind::Question(Argument::Nothing(|| Question::Control)),
        summary: "show the address of the control port",
        detail: "As given with `-C`.",
        ..LIVE
    },
    Row {
        word: "exit",
        kind: Kind::Deed(Argument::Nothing(|| Action::Exit)),
        when: When::Guarded,
        summary: "end pen",
        detail: "Only if it was started with `-X`.",
        ..LIVE
    },
    Row {
        word: "help",
        args: &[optional("COMMAND", Complete::Command)],
        kind: Kind::Question(Argument::Command(Question::Help)),
        summary: "list the commands, or explain one",
        detail: "Options can be asked for too: `help -F`.",
        ..NEW
    },
    Row {
        word: "include",
        args: FILE,
        kind: Kind::Deed(Argument::File(Action::Include)),
        summary: "carry out the commands in a file",
        detail: "One command a line; a word that begins with `#` begins a comment.",
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
        detail: "As the signal HUP does, and the answer tells what came of it: nothing, what the operator should know, or \
                 every error with its file and line; with an error no setting has changed. With `penctl` the exit status \
                 is 1 then.",
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
        summary: "say whose a line is; add or remove a service",
        detail: "A service has its own listeners, servers and settings. `service NAME COMMAND` is for the service NAME; \
                 `service NAME` alone is a header: the lines that follow are for it, to the next header or the end of \
                 the file or session. A file makes the services that it names; while pen runs, `service add NAME` \
                 does. With `service remove NAME` the listeners close at once and connections end on their own; with \
                 `now` they are cut. Lines that name no service are for `main`, or for the only service. Settings of \
                 the process mean the process wherever they stand.",
        ..NEW
    },
    Row {
        word: "services",
        args: JSON,
        kind: Kind::Question(Argument::Listing(Question::Services)),
        summary: "list the services",
        detail: "One line for each: name, `tcp`, `udp` or `dsr`, connections, servers and where it listens. With \
                 `json`, one JSON array.",
        ..NEW
    },
    Row {
        word: "session",
        kind: Kind::Deed(Argument::Nothing(|| Action::Session)),
        summary: "keep the control connection open for more commands",
        detail: "Normally the connection ends after one command. After this one, each line is a command and each \
                 answer is framed, which is how the penctl shell works.",
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
        detail: "To FILE, or else to the file given with `-F`. The file is replaced in one step.",
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
        detail: "`PORT`, `HOST:PORT`, `[IPv6]:PORT` or the path of a Unix socket. Commands are not authenticated: use \
                 a Unix socket, or `control_acl`. As root it needs `-u`.",
        ..OPTION
    },
    Row {
        word: "-F",
        letter: Some('F'),
        args: FILE,
        kind: text(Text::ConfigFile),
        summary: "configuration file: commands, one a line",
        detail: "Read after all options, and again on the signal HUP.",
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
        detail: "Ends with 0 if everything is in order; otherwise says what is wrong and where.",
        ..NEW
    },
];
