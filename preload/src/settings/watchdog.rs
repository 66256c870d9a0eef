//! How the servers are watched: GLB's `exec:PROGRAM ARGUMENT...`, or what pen's `check` takes.

use pen_core::checks::Turns;
use pen_core::glbd::shell;
use pen_core::settings::{Rounds, Watch};
use pen_proto::addr::quoted;
use pen_proto::commands::Check;
use pen_proto::glb::options::Options;
use pen_proto::seconds::Seconds;
use pen_sys::child;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// As `check_interval`, `check_timeout`, `check_rise` and `check_fall` have it.
const DEFAULT_MS: u64 = 1_000;
const TURNS_MAX: u32 = 1_000;

/// How servers are watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Watchdog {
    pub watch: Watch,
    /// What is made of the checks of all servers together.
    pub rounds: Rounds,
}

impl Watchdog {
    /// `text` is what a watchdog was asked for with; `find` gives another setting and the name of its variable, `variable`
    /// one of the environment. `None` where servers always count as ready.
    ///
    /// # Errors
    /// What is wrong, after the name of the variable unless it is the text.
    pub fn read(
        text: &str,
        options: &Options,
        find: &dyn Fn(&str) -> Option<(String, String)>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Watchdog>, String> {
        let check = match check(text, variable)? {
            Check::None | Check::Dummy => return Ok(None),
            Check::Tls { .. } => return Err("tls: libpen has no TLS".to_owned()),
            Check::Exec { program, arguments } => {
                let found = child::find(&program)
                    .ok_or_else(|| format!("{}: there is no such program", quoted(&program)))?;
                Check::Exec { program: found.to_string_lossy().into_owned(), arguments }
            }
            check => check,
        };
        let seconds = |word: &str, min_ms: u64, max_ms: u64, default_ms: u64| match find(word) {
            None => Ok(default_ms),
            Some((name, text)) => {
                Seconds::parse(text.trim(), min_ms, max_ms).map_err(|reason| format!("{name}: {reason}"))
            }
        };
        let number = |word: &str, max: u32| match find(word) {
            None => Ok(None),
            Some((name, text)) => {
                let number = text.trim().parse().ok().filter(|number| (1..=max).contains(number));
                let wrong = || format!("{name}: want 1..{max}, got {}", quoted(text.trim()));
                number.map(Some).ok_or_else(wrong)
            }
        };
        let of_option = options.interval_seconds.map(|seconds| (seconds * 1000.0) as u64);
        let interval_ms = of_option.map_or(DEFAULT_MS, |ms| ms.clamp(1, DAY_MS));
        let interval_ms = seconds("CHECK_INTERVAL", 1, DAY_MS, interval_ms)?;
        let timeout_ms = seconds("CHECK_TIMEOUT", 1, HOUR_MS, DEFAULT_MS)?;
        let rise = number("CHECK_RISE", TURNS_MAX)?.unwrap_or(1);
        let fall = number("CHECK_FALL", TURNS_MAX)?.unwrap_or(1);
        let port = number("CHECK_PORT", u16::MAX.into())?.map(|port| port as u16);
        let turns = Turns { rise, fall };
        let watch = Watch { check, interval_ms, timeout_ms, extra: None, turns, port };
        let latency = options.latency.unwrap_or(0);
        let rounds = Rounds { interval_ms, discover: options.discover.then_some(fall), latency };
        Ok(Some(Watchdog { watch, rounds }))
    }
}

fn check(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Check, String> {
    let Some(command) = text.strip_prefix("exec:") else {
        // GLB's other word is one of pen's.
        return if text.starts_with("dummy:") { Ok(Check::Dummy) } else { Check::parse(text) };
    };
    let words = shell::split(command, variable)?;
    let (program, arguments) = words.split_first().ok_or("exec: want a program")?;
    Ok(Check::Exec { program: program.clone(), arguments: arguments.to_vec() })
}
