//! The snapshot as the USR1 signal prints it, in Pen's shape.
//!
//! Pen says each block as one diagnostic, with the time in front of its first line only. The time is the business of
//! whoever says it (`log/diag`), so [`blocks`] hands out the blocks and [`render`] all of them as one text.

use super::time_line;
use crate::escape::Escaped;
use pen_proto::status::{
    ClientStatus, ConnectionStatus, DsrStatus, ServerStatus, ServiceView, Status, special,
};

/// All blocks, each followed by a newline.
pub fn render(status: &Status) -> String {
    blocks(status).into_iter().flat_map(|block| [block, "\n".into()]).collect()
}

/// One diagnostic each. Blocks of several lines end with a newline of their own, which shows as an empty line. Other
/// services follow the first, each under its name.
pub fn blocks(status: &Status) -> Vec<String> {
    let mut blocks = vec![time_line(status)];
    for (at, service) in status.views().enumerate() {
        if at > 0 {
            blocks.push(title(&service));
        }
        blocks.extend(service.servers.iter().map(server));
        blocks.push(format!("Max number of clients: {}", service.clients_max));
        blocks.push("Active clients:".into());
        blocks.extend(service.clients.iter().map(client));
        if at == 0 {
            blocks.push(format!("Max number of connections: {}", status.connections_max));
        }
        let waiting = service.totals.waiting;
        blocks.extend((waiting > 0).then(|| format!("Clients in the queue: {waiting}")));
        blocks.extend(service.load_percent().map(|percent| format!("Load: {percent} % of maxload")));
        blocks.push("Active connections:".into());
        blocks.extend(service.connections.iter().map(connection));
        blocks.extend(service.dsr.map(dsr));
    }
    blocks
}

fn title(service: &ServiceView<'_>) -> String {
    let (name, servers) = (Escaped(service.name), service.regular_servers().count());
    format!("Service {name} ({}), {servers} servers, {} current", service.kind, service.current_server)
}

/// The bare number in the third line is Pen's: when the last connect failed, 0 for never.
fn server(server: &ServerStatus) -> String {
    let title = match special::name(server.index) {
        None => format!("Server {}", server.index),
        Some("abuse") => "Abuse server".into(),
        Some(_) => "Emergency server".into(),
    };
    format!(
        "{title} status:\naddress {}\n{}\nport {}\n{} connections ({} soft, {} hard)\n{} sent, {} received\n",
        server.address,
        server.failed_at_epoch_seconds,
        server.port,
        server.connections,
        server.max,
        server.hard,
        server.sent_bytes,
        server.received_bytes,
    )
}

/// The lines Pen means to print; what it prints is garbage. `last used` counts seconds since the last connect.
fn client(client: &ClientStatus) -> String {
    format!(
        "Client {} status:\naddress {}\nlast used {}\nlast server {}\nconnects {}\nsent {}\nreceived {}\n",
        client.slot,
        client.address,
        client.age_seconds,
        client.server,
        client.connects,
        client.sent_bytes,
        client.received_bytes,
    )
}

fn connection(connection: &ConnectionStatus) -> String {
    format!(
        "Connection {} status:\ndownfd = {}, upfd = {}\npending data {} down, {} up\nclient {}, server {}\n",
        connection.number,
        connection.down_fd,
        connection.up_fd,
        connection.pending_down_bytes,
        connection.pending_up_bytes,
        connection.client_slot,
        connection.server,
    )
}

/// Not of Pen, which tells nothing of it.
fn dsr(dsr: &DsrStatus) -> String {
    let lost = dsr.malformed + dsr.unreachable + dsr.unsent + dsr.overrun;
    format!(
        "Direct server return on {}:\n{} frames forwarded, {lost} dropped\n{} answers, {} tarpitted\n",
        dsr.interface, dsr.forwarded, dsr.answers, dsr.tarpitted,
    )
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn has_pens_shape() {
        samples::assert_golden("status.txt", &render(&samples::busy()));
    }

    #[test]
    fn an_idle_pen_still_prints_every_heading() {
        let text = render(&samples::idle());
        assert_eq!(
            text,
            "Time 2026-11-21 01:23:26, 0 servers, -3 current\nMax number of clients: 2048\nActive clients:\n\
             Max number of connections: 500\nActive connections:\n"
        );
    }

    #[test]
    fn other_services_follow_each_under_its_name() {
        let text = render(&samples::several());
        let (first, other) = text.split_once("\nService web (udp), 1 servers, 0 current\n").unwrap();
        assert_eq!(first, render(&samples::busy()).trim_end_matches('\n').to_owned() + "\n");
        assert!(other.starts_with("Server 0 status:\naddress 10.0.1.1\n"), "{other}");
        assert!(
            other.contains("\nMax number of clients: 100\nActive clients:\nClient 4 status:\n"),
            "{other}"
        );
        assert!(other.contains("\nActive connections:\nConnection 5 status:\n"), "{other}");
        assert!(!other.contains("Max number of connections"), "{other}");
    }

    #[test]
    fn direct_server_return_is_told_at_the_end() {
        let dsr = DsrStatus {
            interface: "eth0".into(),
            forwarded: 7,
            unsent: 2,
            overrun: 1,
            ..DsrStatus::default()
        };
        let status = Status { dsr: Some(dsr), ..samples::idle() };
        let end = "Direct server return on eth0:\n7 frames forwarded, 3 dropped\n0 answers, 0 tarpitted\n\n";
        assert!(render(&status).ends_with(end), "{}", render(&status));
    }

    #[test]
    fn blocks_and_text_are_the_same_words() {
        let status = samples::busy();
        assert_eq!(blocks(&status).join("\n") + "\n", render(&status));
    }
}
