//! What the environment says: GLB's variables, and the same with `PEN_` before them, which count first.

mod watchdog;

use pen_proto::addr::Host;
use pen_proto::commands::PolicyKind;
use pen_proto::glb::options::Options;
use pen_proto::glb::{Address, Destination};
use std::net::{IpAddr, Ipv4Addr};
pub use watchdog::Watchdog;

/// Seconds between two checks when nothing else is said; a server that failed is passed over for a second more.
const INTERVAL_SECONDS: f64 = 1.0;

/// How the library works in this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `connect()` to it is intercepted.
    pub bind: (Host, u16),
    pub destinations: Vec<Destination>,
    /// Where lines of GLB's language are taken.
    pub control: Option<(Host, u16)>,
    pub policy: PolicyKind,
    /// Only servers of the highest weight that is usable.
    pub top: bool,
    /// A server that failed is passed over for so long.
    pub blacklist_seconds: u64,
    /// How servers are watched, if they are.
    pub watchdog: Option<Watchdog>,
    /// What becomes of servers is told.
    pub verbose: bool,
}

impl Settings {
    /// Reads the settings; `variable` gives those of the environment.
    ///
    /// # Errors
    /// The variable that is wrong, and why.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let find = |name: &str| {
            let names = [format!("PEN_{name}"), format!("GLB_{name}")];
            let found = names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)));
            found.filter(|(_, value)| !value.trim().is_empty())
        };
        let mut options = match find("OPTIONS") {
            Some((name, text)) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                Options::parse(&words).map_err(|reason| format!("{name}: {reason}"))?
            }
            None => Options::default(),
        };
        let bind = match find("BIND") {
            Some((name, text)) => {
                Some(Address::parse(text.trim()).map_err(|reason| format!("{name}: {reason}"))?)
            }
            None => options.listen.take(),
        };
        let bind = bind.ok_or("want PEN_BIND or GLB_BIND, the address whose connections go to servers")?;
        if bind.port == 0 {
            return Err("want a port from 1 to 65535 to intercept, got 0".to_owned());
        }
        let destinations = match find("TARGETS") {
            Some((name, text)) => {
                Destination::parse_list(&text).map_err(|reason| format!("{name}: {reason}"))?
            }
            None => std::mem::take(&mut options.destinations),
        };
        let policy = match find("POLICY") {
            Some((name, text)) => Some(policy(text.trim()).map_err(|reason| format!("{name}: {reason}"))?),
            None => options.policy,
        };
        let control = match find("CONTROL") {
            Some((name, text)) => {
                Some(Address::parse(text.trim()).map_err(|reason| format!("{name}: {reason}"))?)
            }
            None => options.control.take(),
        };
        let of_option = options.watchdog.clone().map(|text| ("-w".to_owned(), text));
        let watchdog = match find("WATCHDOG").or(of_option) {
            Some((name, text)) => {
                Watchdog::read(text.trim(), &options, &find, &variable).map_err(|reason| {
                    if reason.starts_with("PEN_") || reason.starts_with("GLB_") {
                        reason
                    } else {
                        format!("{name}: {reason}")
                    }
                })?
            }
            None => None,
        };
        if destinations.is_empty() && control.is_none() {
            return Err("want PEN_TARGETS or GLB_TARGETS, the servers".to_owned());
        }
        let local = |address: Address| {
            (address.host.unwrap_or(Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))), address.port)
        };
        let policy = policy.unwrap_or(PolicyKind::RoundRobin);
        Ok(Settings {
            bind: local(bind),
            control: control.map(local),
            destinations,
            policy,
            top: options.top || policy == PolicyKind::Single,
            watchdog,
            verbose: options.verbose,
            blacklist_seconds: options.interval_seconds.unwrap_or(INTERVAL_SECONDS) as u64 + 1,
        })
    }
}

/// By the word of pen or of GLB.
fn policy(text: &str) -> Result<PolicyKind, String> {
    match text.to_ascii_lowercase().as_str() {
        "least" | "least_conn" => Ok(PolicyKind::LeastConn),
        "round" | "round_robin" | "round-robin" => Ok(PolicyKind::RoundRobin),
        "single" => Ok(PolicyKind::Single),
        "random" => Ok(PolicyKind::Random),
        "source" => Ok(PolicyKind::Source),
        _ => Err(format!(
            "want round_robin, least_conn, single, random or source, got \"{}\"",
            text.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::commands::Check;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn options_are_a_command_line_of_glbd() {
        let settings =
            read(&[("GLB_OPTIONS", "-t 2 -m 100 --random -i 9.5 3306 10.0.0.1 10.0.0.2:3307:2")]).unwrap();
        assert_eq!(settings.bind, (Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), 3306));
        assert_eq!(settings.destinations.len(), 2);
        assert_eq!((settings.policy, settings.blacklist_seconds), (PolicyKind::Random, 10));
    }

    #[test]
    fn variables_of_their_own_count_before_options_and_pens_before_glbs() {
        let settings = read(&[
            ("GLB_OPTIONS", "1 10.0.0.1"),
            ("GLB_BIND", "10.9.9.9:3306"),
            ("GLB_TARGETS", "10.0.0.2,10.0.0.3"),
            ("PEN_TARGETS", "10.0.0.4"),
            ("GLB_POLICY", "single"),
        ])
        .unwrap();
        assert_eq!(settings.bind, (Host::parse("10.9.9.9").unwrap(), 3306));
        assert_eq!(settings.destinations, Destination::parse_list("10.0.0.4").unwrap());
        assert_eq!((settings.policy, settings.top), (PolicyKind::Single, true));
    }

    #[test]
    fn a_watchdog_is_asked_for_as_glb_does_or_as_pen_does() {
        let watchdog = |variables: &[(&str, &str)]| {
            let given = [("GLB_BIND", "1"), ("GLB_TARGETS", "a"), ("NAME", "a b")];
            let all: Vec<_> = given.into_iter().chain(variables.iter().copied()).collect();
            read(&all).unwrap().watchdog
        };
        for none in ["dummy", "dummy:x", "none"] {
            assert_eq!(watchdog(&[("GLB_WATCHDOG", none)]), None);
        }
        let options = ("GLB_OPTIONS", "-i 0.25 -D -L 3 1");
        let found = watchdog(&[("GLB_WATCHDOG", "exec:sh -c 'a b' \"$NAME\""), options]).unwrap();
        let Check::Exec { program, arguments } = &found.watch.check else { panic!("{found:?}") };
        assert!(program.starts_with('/') && program.ends_with("/sh"), "{program}");
        assert_eq!(arguments, &["-c", "a b", "a b"]);
        assert_eq!((found.watch.interval_ms, found.watch.timeout_ms), (250, 1000));
        assert_eq!((found.rounds.discover, found.rounds.latency), (Some(1), 3));
        let of_pen = [
            options,
            ("GLB_WATCHDOG", "connect"),
            ("PEN_WATCHDOG", "http /health"),
            ("PEN_CHECK_INTERVAL", "5"),
            ("PEN_CHECK_TIMEOUT", "0.5"),
            ("PEN_CHECK_RISE", "2"),
            ("PEN_CHECK_FALL", "3"),
            ("PEN_CHECK_PORT", "8080"),
        ];
        let found = watchdog(&of_pen).unwrap();
        assert_eq!(found.watch.check.to_string(), "http /health");
        assert_eq!((found.watch.interval_ms, found.watch.timeout_ms), (5000, 500));
        assert_eq!((found.watch.turns.rise, found.watch.turns.fall), (2, 3));
        assert_eq!((found.watch.port, found.rounds.discover), (Some(8080), Some(3)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_variable() {
        let bind = ("GLB_BIND", "1");
        let targets = ("GLB_TARGETS", "a");
        for (variables, beginning) in [
            (&[][..], "want PEN_BIND or GLB_BIND"),
            (&[targets], "want PEN_BIND or GLB_BIND"),
            (&[bind], "want PEN_TARGETS or GLB_TARGETS"),
            (&[("GLB_BIND", "x"), targets], "GLB_BIND: port: want 0..65535"),
            (&[("GLB_BIND", "0"), targets], "want a port from 1 to 65535"),
            (&[bind, ("PEN_TARGETS", "a:b")], "PEN_TARGETS: port: want 0..65535"),
            (&[bind, targets, ("GLB_POLICY", "best")], "GLB_POLICY: want round_robin, least_conn"),
            (&[bind, targets, ("GLB_OPTIONS", "-Z")], "GLB_OPTIONS: option \"-Z\" is unknown"),
            (&[bind, targets, ("GLB_WATCHDOG", "foo:x")], "GLB_WATCHDOG: want none or connect or send"),
            (&[bind, targets, ("GLB_WATCHDOG", "exec:")], "GLB_WATCHDOG: exec: want a program"),
            (&[bind, targets, ("GLB_WATCHDOG", "exec:a | b")], "GLB_WATCHDOG: \"|\": no shell reads this"),
            (&[bind, targets, ("PEN_WATCHDOG", "exec /no/such")], "PEN_WATCHDOG: \"/no/such\": there is no"),
            (&[bind, targets, ("PEN_WATCHDOG", "tls")], "PEN_WATCHDOG: tls: libpen has no TLS"),
            (&[bind, targets, ("GLB_OPTIONS", "-w tls 1")], "-w: tls: libpen has no TLS"),
            (
                &[bind, targets, ("PEN_WATCHDOG", "connect"), ("PEN_CHECK_INTERVAL", "0")],
                "PEN_CHECK_INTERVAL: want 0.001..86400 seconds, got \"0\"",
            ),
            (
                &[bind, targets, ("GLB_WATCHDOG", "connect"), ("PEN_CHECK_FALL", "x")],
                "PEN_CHECK_FALL: want 1..1000, got \"x\"",
            ),
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.starts_with(beginning), "{variables:?}: {error}");
        }
    }
}
