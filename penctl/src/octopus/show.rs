//! What Octopus's administrators see: the table, lines for programs, and settings. Pure.

use super::farm::{Farm, Server};

/// What stands above the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// `IP:PORT`.
    pub listen: String,
    pub algorithm: String,
    pub cloning: String,
    pub overload: String,
    /// Whether servers are asked for their load.
    pub loads: bool,
}

/// The table; with every column, or only those that matter most.
pub fn table(head: &Head, farm: &Farm, is_extended: bool) -> String {
    let Head { listen, algorithm, cloning, overload, loads } = head;
    let mut text = format!("{listen}, Algorithm: {algorithm}, Cloning: {cloning}");
    if *loads {
        text += &format!(", Overload: {overload}");
        text += &farm.overall_load().map(|load| format!(", Load @ {load}%")).unwrap_or_default();
    }
    text += "\n";
    let columns = columns(is_extended, *loads);
    text += &row(columns.iter().map(|column| (column.width, column.heading.to_owned())));
    for server in &farm.servers {
        text += &row(columns.iter().map(|column| (column.width, (column.value)(server))));
    }
    text
}

struct Column {
    heading: &'static str,
    width: usize,
    value: fn(&Server) -> String,
}

fn columns(is_extended: bool, loads: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut add = |shown: bool, heading, width, value: fn(&Server) -> String| {
        columns.extend(shown.then_some(Column { heading, width, value }));
    };
    add(true, "type", 9, |server| format!("{}{}", standby(server), kind(server)));
    add(true, "#", 3, |server| server.id.to_string());
    add(true, "name", 16, |server| server.name.clone());
    // Two blanks stand before it.
    add(true, "status", 9, |server| server.status.to_owned());
    add(true, "ip-address", 16, |server| server.ip.clone());
    add(true, "port", 4, |server| server.port.to_string());
    add(true, "c", 5, |server| server.connections.to_string());
    add(is_extended, "maxc", 5, |server| server.max.to_string());
    add(is_extended, "hc", 7, |server| server.completed.to_string());
    add(is_extended, "bsent", 12, |server| server.sent_bytes.to_string());
    add(is_extended, "brecv", 12, |server| server.received_bytes.to_string());
    add(is_extended && loads, "load", 5, load);
    add(is_extended && loads, "maxl", 5, |server| format!("{:.2}", server.max_load));
    add(loads, "loading", 7, |server| {
        server.load.map(|_| format!("{}%", server.effective_load())).unwrap_or_default()
    });
    columns
}

fn row(cells: impl Iterator<Item = (usize, String)>) -> String {
    let cells: Vec<String> = cells.map(|(width, text)| format!("{text:>width$}")).collect();
    cells.join(" ") + "\n"
}

fn standby(server: &Server) -> &'static str {
    if server.is_standby { "(S)" } else { "" }
}

fn kind(server: &Server) -> &'static str {
    if server.is_clone { "Clone" } else { "Member" }
}

/// `-`: not known yet. `???`: nobody answered.
fn load(server: &Server) -> String {
    match server.load {
        Some(load) => format!("{load:.2}"),
        None if server.has_no_answer => "???".to_owned(),
        None => "-".to_owned(),
    }
}

/// The same in Octopus's numbers.
fn load_number(server: &Server) -> f64 {
    server.load.unwrap_or(if server.has_no_answer { -2.0 } else { -1.0 })
}

/// A line for each server, 15 fields, without a heading.
pub fn machine(farm: &Farm) -> String {
    let line = |server: &Server| {
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{},{:.6},{:.6},{}\n",
            kind(server),
            server.id,
            server.name,
            server.status,
            standby(server),
            server.ip,
            server.port,
            server.connections,
            server.max,
            server.completed,
            server.sent_bytes,
            server.received_bytes,
            load_number(server),
            server.max_load,
            server.effective_load()
        )
    };
    farm.servers.iter().map(line).collect()
}

/// Groups of settings: a title, and labels with values.
pub fn groups(groups: &[(&str, Vec<(&str, String)>)]) -> String {
    let group = |(title, lines): &(&str, Vec<(&str, String)>)| {
        let lines = lines.iter().map(|(label, value)| format!("  {label:<30} {value}\n"));
        format!("{title}\n{}\n", lines.collect::<String>())
    };
    groups.iter().map(group).collect()
}

/// Two columns: a server and how many addresses of requests belong to it.
pub fn assignments(farm: &Farm) -> String {
    let members = farm.servers.iter().filter(|server| !server.is_clone);
    members.map(|server| format!("  {:<30} {}\n", server.name, server.uris)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn farm() -> Farm {
        let member = Server {
            reference: "web1".into(),
            is_clone: false,
            id: 0,
            name: "web1".into(),
            status: "Enabled",
            is_standby: true,
            ip: "10.0.0.1".into(),
            port: 80,
            connections: 2,
            max: 500,
            completed: 17,
            sent_bytes: 1000,
            received_bytes: 20000,
            load: Some(1.5),
            has_no_answer: false,
            max_load: 4.0,
            uris: 3,
        };
        let clone =
            Server { is_clone: true, name: "test".into(), is_standby: false, load: None, ..member.clone() };
        let silent = Server { is_clone: false, id: 1, has_no_answer: true, ..clone.clone() };
        Farm { servers: vec![member, silent, clone] }
    }

    fn head(loads: bool) -> Head {
        Head {
            listen: "0.0.0.0:80".into(),
            algorithm: "Least Connections".into(),
            cloning: "Enabled".into(),
            overload: "Relaxed".into(),
            loads,
        }
    }

    #[test]
    fn the_table_is_octopuss() {
        assert_eq!(
            table(&head(false), &farm(), false),
            "0.0.0.0:80, Algorithm: Least Connections, Cloning: Enabled\n     \
             type   #             name    status       ip-address port     c\n\
             (S)Member   0             web1   Enabled         10.0.0.1   80     2\n   \
             Member   1             test   Enabled         10.0.0.1   80     2\n    \
             Clone   0             test   Enabled         10.0.0.1   80     2\n"
        );
        let extended = table(&head(true), &farm(), true);
        let lines: Vec<&str> = extended.lines().collect();
        assert_eq!(
            lines[0],
            "0.0.0.0:80, Algorithm: Least Connections, Cloning: Enabled, Overload: Relaxed, Load @ 37%"
        );
        assert!(lines[1].ends_with("     c  maxc      hc        bsent        brecv  load  maxl loading"));
        assert!(lines[2].ends_with("     2   500      17         1000        20000  1.50  4.00     37%"));
        assert!(lines[3].ends_with("         1000        20000   ???  4.00        "));
        assert!(lines[4].ends_with("         1000        20000     -  4.00        "));
    }

    #[test]
    fn lines_for_programs_have_fifteen_fields() {
        let text = machine(&farm());
        assert_eq!(
            text,
            "Member,0,web1,Enabled,(S),10.0.0.1,80,2,500,17,1000,20000,1.500000,4.000000,37\n\
             Member,1,test,Enabled,,10.0.0.1,80,2,500,17,1000,20000,-2.000000,4.000000,0\n\
             Clone,0,test,Enabled,,10.0.0.1,80,2,500,17,1000,20000,-1.000000,4.000000,0\n"
        );
        assert!(text.lines().all(|line| line.split(',').count() == 15));
    }
}
