//! What the environment says: GLB's variables, and the same with `PEN_` before them, which count first.

use pen_proto::addr::Host;
use pen_proto::commands::PolicyKind;
use pen_proto::glb::options::Options;
use pen_proto::glb::{Address, Destination};
use std::net::{IpAddr, Ipv4Addr};

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
        let options = match find("OPTIONS") {
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
            None => options.listen,
        };
        let bind = bind.ok_or("want PEN_BIND or GLB_BIND, the address whose connections go to servers")?;
        if bind.port == 0 {
            return Err("want a port from 1 to 65535 to intercept, got 0".to_owned());
        }
        let destinations = match find("TARGETS") {
            Some((name, text)) => {
                Destination::parse_list(&text).map_err(|reason| format!("{name}: {reason}"))?
            }
            None => options.destinations,
        };
        let policy = match find("POLICY") {
            Some((name, text)) => Some(policy(text.trim()).map_err(|reason| format!("{name}: {reason}"))?),
            None => options.policy,
        };
        let control = match find("CONTROL") {
            Some((name, text)) => {
                Some(Address::parse(text.trim()).map_err(|reason| format!("{name}: {reason}"))?)
            }
            None => options.control,
        };
        if let Some((name, _)) = find("WATCHDOG") {
            return Err(format!("{name}: this build has no watchdog"));
        }
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
        ] {
            let error = read(variables).unwrap_err();
            assert!(error.starts_with(beginning), "{variables:?}: {error}");
        }
    }
}
