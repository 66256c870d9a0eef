//! `penctl watch`: a pen as it works, live on a terminal, and keys for its servers.
//!
//! `model` is what is known and what the person wants, `keys` what a key does to it, `view` how it looks: all pure.
//! `feed` asks pen on a thread of its own, `terminal` owns the terminal. This file is the loop between them.

mod clones;
mod feed;
mod history;
mod keys;
mod model;
mod terminal;
mod view;

use crate::screen::Screen;
use crate::table::Colour;
use feed::Feed;
use keys::Effect;
use model::Model;
use pen_sys::control::Address;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::SIGHUP;
use std::io::{self, IsTerminal};
use std::time::Duration;
use terminal::{Signals, Terminal, Wanted};

/// How long a key may wait for its effect, and an answer to be shown.
const TURN: Duration = Duration::from_millis(100);

/// Shows the pen until the person has seen enough.
///
/// # Errors
/// There is no terminal, or it cannot be used. A pen that cannot be reached is shown as such and tried again.
pub fn run(address: Address, screen: Screen) -> Result<(), String> {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    if !io::stdin().is_terminal() || !screen.is_terminal() || is_dumb {
        return Err("watch: want a terminal that can place its cursor; servers shows the same once".into());
    }
    let looks = view::Looks { has_colour: screen.colour() == Colour::Always, has_blocks: speaks_utf8() };
    let signals = Signals::install().map_err(|error| format!("signals: {error}"))?;
    let mut model = Model::new(address.text());
    let feed = Feed::start(address);
    let cannot = |error: io::Error| format!("terminal: {error}");
    let mut terminal = Terminal::enter().map_err(cannot)?;
    let ended = obey(&mut terminal, &signals, &mut model, &feed, looks);
    if terminal::has_hung_up(Duration::ZERO).is_ok_and(|gone| gone) {
        // There is nothing to give back, and no place for a word about that.
        return signals.end_by(SIGHUP);
    }
    terminal.leave();
    match ended.map_err(cannot)? {
        Some(signal) => signals.end_by(signal),
        None => Ok(()),
    }
}

/// Until a key or a signal, which is returned, ends it.
fn obey(
    terminal: &mut Terminal,
    signals: &Signals,
    model: &mut Model,
    feed: &Feed,
    looks: view::Looks,
) -> io::Result<Option<i32>> {
    let mut is_stale = true;
    // One read may bring several keys.
    let mut may_have_more = true;
    loop {
        if is_stale {
            terminal.draw(|frame| view::draw(model, looks, frame))?;
        }
        match signals.wanted() {
            Some(Wanted::End(signal)) => return Ok(Some(signal)),
            Some(Wanted::Suspend) => terminal.suspend(signals)?,
            None => {}
        }
        is_stale = false;
        if terminal::has_hung_up(if may_have_more { Duration::ZERO } else { TURN })? {
            return Ok(Some(SIGHUP));
        }
        may_have_more = event::poll(Duration::ZERO)?;
        if may_have_more {
            is_stale = true;
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => match keys::press(model, key) {
                    Effect::None => {}
                    Effect::Quit => return Ok(None),
                    Effect::Suspend => terminal.suspend(signals)?,
                    Effect::Redraw => terminal.clear()?,
                    Effect::Turn(service) => feed.turn_to(service),
                    Effect::Command(command) => feed.command(command),
                },
                _ => {}
            }
        }
        for news in feed.news() {
            is_stale = true;
            model.learn(news);
        }
    }
}

/// Whether the terminal shows more than ASCII, as the locale says.
fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    set.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
