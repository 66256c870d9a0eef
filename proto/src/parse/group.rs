//! `group NAME use|policy POLICY|remove`, and what `no group NAME` takes back.

use super::Parsed;
use super::words::Words;
use crate::addr::quoted;
use crate::commands::{Command, GroupChange, Kind, OneOf, PolicyKind, Setting};
use crate::names::Name;

const USE: &str = "use";
const POLICY: &str = "policy";
const REMOVE: &str = "remove";

/// What follows the word `group`.
pub fn group(words: &mut Words) -> Parsed<Command> {
    let name = name(words)?;
    let change = match words.need("use or policy or remove")? {
        USE => GroupChange::Use,
        REMOVE => GroupChange::Remove,
        POLICY => {
            words.place = format!("{} {POLICY}", words.place);
            GroupChange::Policy(Some(policy(words)?))
        }
        word => return Err(words.error(&format!("want use or policy or remove, got {}", quoted(word)))),
    };
    Ok(Command::Group { name, change })
}

/// What follows `no group`.
pub fn taken_back(words: &mut Words) -> Parsed<Command> {
    let name = name(words)?;
    let changes = [(USE, GroupChange::NotUsed), (POLICY, GroupChange::Policy(None))];
    match words.choice(&changes)? {
        Some(change) => Ok(Command::Group { name, change }),
        None => Err(words.error("want use or policy, got nothing")),
    }
}

fn name(words: &mut Words) -> Parsed<Name> {
    let word = words.need("the name of a group")?;
    let name = words.checked(Name::parse(word))?;
    words.place = format!("{} {name}", words.place);
    Ok(name)
}

fn policy(words: &mut Words) -> Parsed<PolicyKind> {
    let Kind::Choice { words: policies, .. } = Setting::Choice(PolicyKind::SETTING).row().kind else {
        unreachable!("a policy is one of a few words")
    };
    let place = words.choice_of(policies)?;
    let policy = place.and_then(|place| PolicyKind::ALL.get(usize::from(place)));
    policy.copied().ok_or_else(|| words.error(&format!("want {}, got nothing", policies.join(" or "))))
}

#[cfg(test)]
mod tests {
    use crate::commands::{Command, GroupChange, PolicyKind, ServerChange};
    use crate::names::Name;
    use crate::parse::parse_line;

    #[test]
    fn a_group_is_used_gets_a_policy_and_goes() {
        let group = |change| Command::Group { name: Name::parse("blue").unwrap(), change };
        for (line, change) in [
            ("group blue use", GroupChange::Use),
            ("group blue remove", GroupChange::Remove),
            ("group blue policy least_conn", GroupChange::Policy(Some(PolicyKind::LeastConn))),
            ("no group blue policy", GroupChange::Policy(None)),
            ("no group blue use", GroupChange::NotUsed),
        ] {
            assert_eq!(parse_line(line), Ok(Some(group(change))), "{line}");
        }
    }

    #[test]
    fn a_server_belongs_to_one_group_or_to_all() {
        for (words, group) in [("blue", Some("blue")), ("all", None)] {
            let group = group.map(|name| Name::parse(name).unwrap());
            let line = format!("server 0 group {words}");
            let Ok(Some(Command::Server { changes, .. })) = parse_line(&line) else { panic!("{line}") };
            assert_eq!(changes, [ServerChange::Group(group)]);
            assert_eq!(format!("server 0 {}", changes[0]), line);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_group() {
        for (line, message) in [
            ("group", "group: want the name of a group, got nothing"),
            (
                "group 1 use",
                r#"group: want a name, a letter and then letters, digits, -, _ or ., 63 at most, got "1""#,
            ),
            ("group all use", r#"group: want another name than add, all, json, remove, got "all""#),
            ("group blue", "group blue: want use or policy or remove, got nothing"),
            ("group blue us", r#"group blue: want use or policy or remove, got "us""#),
            ("group blue use now", r#"group blue: nothing may follow here, got "now""#),
            ("no group blue", "no group blue: want use or policy, got nothing"),
            ("server 0 group", "server 0: group: want the name of a group, or all, got nothing"),
        ] {
            assert_eq!(parse_line(line).unwrap_err().to_string(), message, "{line}");
        }
        let error = parse_line("group blue policy best").unwrap_err().to_string();
        assert!(error.starts_with("group blue policy: want pen or round_robin or"), "{error}");
        assert!(error.ends_with("got \"best\""), "{error}");
    }
}
