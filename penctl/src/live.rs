//! Names and numbers that only the running pen knows, for what may be typed next.

use pen_proto::escape::is_dangerous;
use pen_proto::help::Completion;
use pen_proto::status::{ConnectionStatus, GroupLine, ServerStatus, ServiceLine};

/// What to ask pen for candidates of this kind: of the service that the line names, or of the session's.
pub fn question(kind: Completion, typed: &str) -> String {
    let listing = match kind {
        Completion::Server => "servers json",
        Completion::Service => "services json",
        Completion::Group => "groups json",
        _ => "connections json",
    };
    let words: Vec<&str> = typed.split_whitespace().collect();
    match words[..] {
        ["service", name, _, ..] if kind != Completion::Service => format!("service {name} {listing}"),
        _ => listing.into(),
    }
}

/// The names and numbers in the answer; none when it is not one. What would steer the terminal that shows it is no name: a
/// pen has none such, but something else may stand behind its address.
pub fn names(kind: Completion, json: &str) -> Vec<String> {
    let mut names = match kind {
        Completion::Server => servers(json),
        Completion::Service => services(json),
        Completion::Group => groups(json),
        _ => connections(json),
    };
    names.retain(|name| !name.contains(is_dangerous));
    names
}

/// Their names, and the numbers of all.
fn servers(json: &str) -> Vec<String> {
    let servers: Vec<ServerStatus> = serde_json::from_str(json).unwrap_or_default();
    let of_list: Vec<_> = servers.into_iter().filter(|server| server.index >= 0).collect();
    let numbers: Vec<_> = of_list.iter().map(|server| server.index.to_string()).collect();
    of_list.into_iter().filter_map(|server| server.name).chain(numbers).collect()
}

fn services(json: &str) -> Vec<String> {
    let services: Vec<ServiceLine> = serde_json::from_str(json).unwrap_or_default();
    services.into_iter().map(|service| service.name).collect()
}

fn groups(json: &str) -> Vec<String> {
    let groups: Vec<GroupLine> = serde_json::from_str(json).unwrap_or_default();
    groups.into_iter().map(|group| group.name).collect()
}

fn connections(json: &str) -> Vec<String> {
    let connections: Vec<ConnectionStatus> = serde_json::from_str(json).unwrap_or_default();
    connections.iter().map(|connection| connection.number.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_asked_for_of_the_service_that_the_line_names() {
        for (kind, typed, wanted) in [
            (Completion::Server, "server ", "servers json"),
            (Completion::Server, "service web server ", "service web servers json"),
            (Completion::Connection, "service web close 1", "service web connections json"),
            (Completion::Service, "service ", "services json"),
            (Completion::Service, "service web clients_from ", "services json"),
        ] {
            assert_eq!(question(kind, typed), wanted, "{typed}");
        }
        let listed = [ServiceLine { name: "web".into(), ..Default::default() }];
        assert_eq!(services(&serde_json::to_string(&listed).unwrap()), ["web"]);
        assert_eq!(services("main tcp conns 0"), Vec::<String>::new());
        assert_eq!(question(Completion::Group, "service web group "), "service web groups json");
        let listed = [GroupLine { name: "blue".into(), ..Default::default() }];
        assert_eq!(groups(&serde_json::to_string(&listed).unwrap()), ["blue"]);
    }

    #[test]
    fn names_and_numbers_are_read_from_the_listing() {
        let named = ServerStatus { index: 1, name: Some("b".into()), ..Default::default() };
        let listed = [ServerStatus::default(), named, ServerStatus { index: -1, ..Default::default() }];
        assert_eq!(servers(&serde_json::to_string(&listed).unwrap()), ["b", "0", "1"]);
        assert_eq!(servers("0 addr 127.0.0.1"), Vec::<String>::new());
        let hostile = [ServiceLine { name: "a\u{1b}]0;evil\u{7}".into(), ..Default::default() }];
        let listed = serde_json::to_string(&hostile).unwrap();
        assert_eq!(names(Completion::Service, &listed), Vec::<String>::new());
    }
}
