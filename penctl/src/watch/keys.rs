//! What a key does. Pure.

use super::model::{Deed, Mode, Model};
use pen_proto::words::written;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What is to be done outside of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    None,
    Quit,
    Suspend,
    /// Everything is drawn anew.
    Redraw,
    /// Servers of this service are wanted.
    Turn(String),
    /// Is sent to pen.
    Command(String),
}

/// How long a server is blacklisted where nothing is typed.
pub const BLACKLIST_SECONDS: &str = "60";
/// Letters of a filter, digits of a time: more are no use.
const TYPED_MAX: usize = 64;
const DIGITS_MAX: usize = 9;

/// The keys, for the page of help.
pub const HELP: &[(&str, &str)] = &[
    ("Up Down j k", "choose a server; also PgUp, PgDn, Home, End"),
    ("Tab Left Right 1-9", "another service"),
    ("d", "drain the server: no new connections, open ones may end"),
    ("x", "disable it: the same, and it is not checked"),
    ("e", "enable it again"),
    ("b", "blacklist it for a time"),
    ("s r", "sort by another column, reverse"),
    ("/", "show only servers whose name, address or state has a text"),
    ("Esc", "show all of them again"),
    ("Ctrl-L Ctrl-Z", "draw anew, suspend"),
    ("q", "quit"),
];

/// A key was pressed.
pub fn press(model: &mut Model, key: KeyEvent) -> Effect {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Effect::Quit,
            KeyCode::Char('z') => Effect::Suspend,
            KeyCode::Char('l') => Effect::Redraw,
            _ => Effect::None,
        };
    }
    match model.mode {
        Mode::Look => look(model, key.code),
        Mode::Help => {
            model.mode = Mode::Look;
            Effect::None
        }
        Mode::Filter => type_filter(model, key.code),
        Mode::Ask(_) => answer(model, key.code),
    }
}

fn look(model: &mut Model, code: KeyCode) -> Effect {
    model.notice = None;
    let page = model.page as isize;
    match code {
        KeyCode::Char('q') => return Effect::Quit,
        KeyCode::Esc => model.filter.clear(),
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => model.mode = Mode::Help,
        KeyCode::Up | KeyCode::Char('k') => model.go(-1),
        KeyCode::Down | KeyCode::Char('j') => model.go(1),
        KeyCode::PageUp => model.go(-page),
        KeyCode::PageDown | KeyCode::Char(' ') => model.go(page),
        KeyCode::Home | KeyCode::Char('g') => model.go(isize::MIN),
        KeyCode::End | KeyCode::Char('G') => model.go(isize::MAX),
        KeyCode::Tab | KeyCode::Right => return turn(model.neighbour(1)),
        KeyCode::BackTab | KeyCode::Left => return turn(model.neighbour(-1)),
        KeyCode::Char(digit @ '1'..='9') => {
            let place = usize::from(digit as u8 - b'1');
            return turn(model.services.get(place).map(|service| service.name.clone()));
        }
        KeyCode::Char('s') => model.order = model.order.next(),
        KeyCode::Char('r') => model.is_reversed = !model.is_reversed,
        KeyCode::Char('/') => model.mode = Mode::Filter,
        KeyCode::Char('d') => model.ask(Deed::Drain),
        KeyCode::Char('x') => model.ask(Deed::Disable),
        KeyCode::Char('e') => model.ask(Deed::Enable),
        KeyCode::Char('b') => model.ask(Deed::Blacklist),
        _ => {}
    }
    Effect::None
}

fn turn(service: Option<String>) -> Effect {
    service.map_or(Effect::None, Effect::Turn)
}

fn type_filter(model: &mut Model, code: KeyCode) -> Effect {
    match code {
        KeyCode::Enter => model.mode = Mode::Look,
        KeyCode::Esc => {
            model.filter.clear();
            model.mode = Mode::Look;
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(letter) if model.filter.chars().count() < TYPED_MAX => model.filter.push(letter),
        _ => {}
    }
    Effect::None
}

fn answer(model: &mut Model, code: KeyCode) -> Effect {
    let Mode::Ask(question) = &mut model.mode else { return Effect::None };
    let is_yes = match (question.deed, code) {
        (Deed::Blacklist, KeyCode::Char(digit @ '0'..='9')) => {
            if question.seconds.len() < DIGITS_MAX {
                question.seconds.push(digit);
            }
            return Effect::None;
        }
        (Deed::Blacklist, KeyCode::Backspace) => {
            question.seconds.pop();
            return Effect::None;
        }
        (Deed::Blacklist, code) => code == KeyCode::Enter,
        (_, code) => matches!(code, KeyCode::Char('y' | 'Y')),
    };
    let command = is_yes.then(|| {
        let seconds = match (question.deed, &question.seconds[..]) {
            (Deed::Blacklist, "") => format!(" {BLACKLIST_SECONDS}"),
            (Deed::Blacklist, seconds) => format!(" {seconds}"),
            _ => String::new(),
        };
        let (service, server) = (written(&question.service), written(&question.server));
        format!("service {service} server {server} {}{seconds}", question.deed.word())
    });
    model.mode = Mode::Look;
    command.map_or(Effect::None, Effect::Command)
}
