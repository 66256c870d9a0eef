//! Where the load of a server is read: what follows the word `load`.

use super::check::{Words, argument, port, program};
use crate::words::{split, written};
use std::borrow::Cow;
use std::fmt;

const KINDS: &str = "none or snmp or agent or exec";
/// Bytes of a community.
pub const COMMUNITY_BYTES_MAX: usize = 255;
const SNMP_PORT: u16 = 161;
/// Stands for a community where it is shown. It is none, so that what was shown is not taken for a command again.
const HIDDEN: &str = "(hidden)";
const SNMP: &str = "snmp";

/// Where the load of a server is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LoadSource {
    #[default]
    None,
    /// From the SNMP agent of its host.
    Snmp { version: SnmpVersion, community: String, port: u16 },
    /// Someone at this port of its host says a line to everybody who connects.
    Agent { port: u16 },
    /// A program of the operator knows.
    Exec { program: String, arguments: Vec<String> },
}

/// Which language an SNMP agent is asked in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SnmpVersion {
    V1,
    #[default]
    V2c,
}

impl SnmpVersion {
    fn of_word(word: &str) -> Option<SnmpVersion> {
        [SnmpVersion::V1, SnmpVersion::V2c].into_iter().find(|version| version.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            SnmpVersion::V1 => "v1",
            SnmpVersion::V2c => "v2c",
        }
    }
}

impl LoadSource {
    /// Reads the words behind `load`, all that there are.
    ///
    /// # Errors
    /// What was expected and what was given.
    pub fn read(words: &[Cow<'_, str>]) -> Result<LoadSource, String> {
        let mut words = Words(words);
        let source = match words.need(KINDS)? {
            "none" => LoadSource::None,
            "agent" => LoadSource::Agent { port: port("agent", words.need("a port")?)? },
            SNMP => snmp(&mut words)?,
            "exec" => {
                let program = program(words.need("a program")?)?;
                let arguments = words.0.iter().map(|word| argument(word)).collect::<Result<_, _>>()?;
                words.0 = &[];
                LoadSource::Exec { program, arguments }
            }
            word => return Err(format!("want {KINDS}, got {}", crate::addr::quoted(word))),
        };
        words.end(source)
    }

    /// Reads what `Display` writes.
    ///
    /// # Errors
    /// As [`LoadSource::read`].
    pub fn parse(text: &str) -> Result<LoadSource, String> {
        LoadSource::read(&split(text)?)
    }

    /// Whether a program is run for it.
    pub fn is_program(&self) -> bool {
        matches!(self, LoadSource::Exec { .. })
    }

    /// As everybody may see it: without a community.
    pub fn shown(&self) -> String {
        match self {
            LoadSource::Snmp { version, port, .. } => {
                LoadSource::Snmp { version: *version, community: HIDDEN.into(), port: *port }.to_string()
            }
            source => source.to_string(),
        }
    }

    /// Whether nobody is to read it who may not read the community.
    pub fn is_secret(&self) -> bool {
        matches!(self, LoadSource::Snmp { .. })
    }
}

/// A line of commands as everybody may see it: without the community of a `load snmp` in it.
pub fn without_community(line: &str) -> Cow<'_, str> {
    let Ok(words) = split(line) else {
        // It cannot be told which word is the secret.
        return line
            .split_once(SNMP)
            .map_or(line.into(), |(before, _)| format!("{before}{SNMP} {HIDDEN}").into());
    };
    let Some(at) = load_snmp(&words) else { return Cow::Borrowed(line) };
    let has_version = words.get(at + 2).is_some_and(|word| SnmpVersion::of_word(word).is_some());
    let secret = at + 2 + usize::from(has_version);
    let shown = words.iter().enumerate().map(|(index, word)| match index == secret {
        true => HIDDEN.to_owned(),
        false => written(word).to_string(),
    });
    Cow::Owned(shown.collect::<Vec<_>>().join(" "))
}

/// What stands before the `load snmp` of a line; `None` where there is none.
pub fn before_community(line: &str) -> Option<String> {
    let words = split(line).ok()?;
    let before = words[..load_snmp(&words)?].iter().map(|word| written(word));
    Some(before.collect::<Vec<_>>().join(" "))
}

fn load_snmp(words: &[Cow<'_, str>]) -> Option<usize> {
    words.windows(2).position(|pair| pair[0] == "load" && pair[1] == SNMP)
}

/// `[v1|v2c] COMMUNITY [port P]`. A community that is called like a version follows one.
fn snmp(words: &mut Words<'_>) -> Result<LoadSource, String> {
    let mut community = words.need("v1 or v2c or a community")?;
    let version = SnmpVersion::of_word(community);
    if version.is_some() {
        community = words.need("a community")?;
    }
    if community.is_empty() || community.len() > COMMUNITY_BYTES_MAX {
        return Err(format!("snmp: want a community of 1..{COMMUNITY_BYTES_MAX} bytes"));
    }
    if community == HIDDEN {
        return Err(format!("snmp: {HIDDEN} stands for a community that is not shown: write the community"));
    }
    let port = match words.takes("port") {
        true => port("snmp", words.need("a port")?)?,
        false => SNMP_PORT,
    };
    Ok(LoadSource::Snmp { version: version.unwrap_or_default(), community: community.to_owned(), port })
}

/// As the words behind `load`, the community included.
impl fmt::Display for LoadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadSource::None => f.write_str("none"),
            LoadSource::Agent { port } => write!(f, "agent {port}"),
            LoadSource::Snmp { version, community, port } => {
                write!(f, "{SNMP} {} {}", version.word(), written(community))?;
                if *port == SNMP_PORT { Ok(()) } else { write!(f, " port {port}") }
            }
            LoadSource::Exec { program, arguments } => {
                write!(f, "exec {}", written(program))?;
                arguments.iter().try_for_each(|word| write!(f, " {}", written(word)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_source_is_read_and_written() {
        for (text, again) in [
            ("none", "none"),
            ("snmp public", "snmp v2c public"),
            ("snmp v1 public", "snmp v1 public"),
            ("snmp v2c v1 port 1161", "snmp v2c v1 port 1161"),
            (r#"snmp "a b" port 161"#, r#"snmp v2c "a b""#),
            ("agent 8080", "agent 8080"),
            ("exec /usr/lib/pen/load.sh -x", "exec /usr/lib/pen/load.sh -x"),
        ] {
            let source = LoadSource::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(source.to_string(), again);
            assert_eq!(LoadSource::parse(again), Ok(source));
        }
    }

    #[test]
    fn what_is_wrong_is_explained_without_the_community() {
        for (text, error) in [
            ("", "want none or snmp or agent or exec, got nothing"),
            ("snmpd", "want none or snmp or agent or exec, got \"snmpd\""),
            ("snmp", "want v1 or v2c or a community, got nothing"),
            ("snmp v1", "want a community, got nothing"),
            ("snmp \"\"", "snmp: want a community of 1..255 bytes"),
            (
                "snmp v1 (hidden)",
                "snmp: (hidden) stands for a community that is not shown: write the community",
            ),
            ("snmp public port", "want a port, got nothing"),
            ("snmp public port 0", "snmp: want a port, 1..65535, got \"0\""),
            ("snmp public 161", "nothing may follow here, got \"161\""),
            ("agent", "want a port, got nothing"),
            ("agent http", "agent: want a port, 1..65535, got \"http\""),
            ("exec", "want a program, got nothing"),
        ] {
            assert_eq!(LoadSource::parse(text).unwrap_err(), error, "{text}");
        }
        let long = "x".repeat(COMMUNITY_BYTES_MAX + 1);
        assert!(!LoadSource::parse(&format!("snmp {long}")).unwrap_err().contains("xx"));
    }

    #[test]
    fn a_community_is_never_shown() {
        assert_eq!(LoadSource::parse("snmp v1 hush port 7").unwrap().shown(), "snmp v1 (hidden) port 7");
        assert_eq!(LoadSource::parse("agent 7").unwrap().shown(), "agent 7");
        for (line, shown) in [
            ("load snmp hush", "load snmp (hidden)"),
            ("server 1 max 7 load snmp v2c hush port 1", "server 1 max 7 load snmp v2c (hidden) port 1"),
            ("service web load snmp \"hu sh\"", "service web load snmp (hidden)"),
            ("load snmp v1", "load snmp v1"),
            ("server 0 name snmp", "server 0 name snmp"),
            ("load agent 7", "load agent 7"),
            ("load snmp \"hush", "load snmp (hidden)"),
        ] {
            assert_eq!(without_community(line), shown);
        }
        for (line, before) in [
            ("load snmp hush", Some("")),
            ("service web server 1 max 7 load snmp v2c hush", Some("service web server 1 max 7")),
            ("load agent 7", None),
        ] {
            assert_eq!(before_community(line).as_deref(), before);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(community in "\\PC{1,12}", program in "[^\\x00]{1,12}", port in 1..=u16::MAX) {
            for source in [
                LoadSource::Snmp { version: SnmpVersion::V1, community: community.clone(), port },
                LoadSource::Exec { program: program.clone(), arguments: vec![community.clone()] },
                LoadSource::Agent { port },
            ] {
                prop_assert_eq!(LoadSource::parse(&source.to_string()), Ok(source));
            }
        }
    }
}
