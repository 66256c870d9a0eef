//! The terminal while it is ours, and how it is given back: at the end, after a panic, for a signal, while suspended.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};
use std::io::{self, Stdout, stdin, stdout};
use std::os::fd::AsFd;
use std::panic;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

/// A terminal in raw mode, on its alternate screen. Given back when this is dropped.
pub struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn enter() -> io::Result<Terminal> {
        static HOOKED: Once = Once::new();
        HOOKED.call_once(|| {
            let told = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                give_back();
                told(panic);
            }));
        });
        take()?;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout()));
        terminal.map(Terminal).inspect_err(|_| give_back())
    }

    /// Draws, at the size that the terminal has now.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(drop)
    }

    /// Draws everything anew the next time: something else has written there.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn clear(&mut self) -> io::Result<()> {
        // ratatui's own way asks the terminal where the cursor is, and not every one answers.
        execute!(stdout(), Clear(ClearType::All))?;
        self.0 = ratatui::Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Gives the terminal back and stops this process, as Ctrl-Z does elsewhere; returns when it goes on.
    ///
    /// # Errors
    /// The terminal cannot be had back.
    pub fn suspend(&mut self, signals: &Signals) -> io::Result<()> {
        give_back();
        low_level::emulate_default_handler(SIGTSTP)?;
        signals.forget_suspend();
        take()?;
        self.clear()
    }

    pub fn leave(self) {
        drop(self);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen).inspect_err(|_| give_back())
}

/// Waits so long for a key. Returns whether the terminal has hung up: crossterm would read it over and over.
///
/// # Errors
/// The terminal cannot be waited for.
pub fn has_hung_up(patience: Duration) -> io::Result<bool> {
    let input = stdin();
    let mut input = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut input, patience) {
        // The signal says what is wanted.
        Ok(_) | Err(Errno::EINTR) => {
            let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
            Ok(input[0].revents().is_some_and(|events| events.intersects(gone)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Nothing can be done where that fails: the terminal is gone.
fn give_back() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    End(i32),
    Suspend,
}

/// Signals that came.
pub struct Signals {
    end: Arc<AtomicUsize>,
    suspend: Arc<AtomicBool>,
}

impl Signals {
    /// From now on signals are noted: none may leave the terminal as it is.
    ///
    /// # Errors
    /// The system refuses.
    pub fn install() -> io::Result<Signals> {
        let signals = Signals { end: Arc::default(), suspend: Arc::default() };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            flag::register_usize(signal, signals.end.clone(), signal as usize)?;
        }
        flag::register(SIGTSTP, signals.suspend.clone())?;
        Ok(signals)
    }

    /// The next that is to be obeyed.
    pub fn wanted(&self) -> Option<Wanted> {
        match self.end.load(Ordering::Relaxed) {
            0 => self.suspend.load(Ordering::Relaxed).then_some(Wanted::Suspend),
            signal => Some(Wanted::End(signal as i32)),
        }
    }

    fn forget_suspend(&self) {
        self.suspend.store(false, Ordering::Relaxed);
    }

    /// Ends this process as the signal would have.
    ///
    /// # Errors
    /// The system refuses.
    pub fn end_by(&self, signal: i32) -> Result<(), String> {
        low_level::emulate_default_handler(signal).map_err(|error| format!("signal {signal}: {error}"))
    }
}
