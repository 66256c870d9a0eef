//! What pen tells of several services: in JSON, text, the page and metrics.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use nix::sys::signal::SIGUSR1;
use serde_json::Value;

/// `main` with server A, `web` with server B and the clients of `main`; a connection to each is open.
struct Two {
    pen: Pen,
    port: u16,
    _servers: [Backend; 2],
    _clients: [Client; 2],
}

impl Two {
    fn start(with: impl FnOnce(Start) -> Start) -> Two {
        let servers = ["A", "B"].map(Backend::named);
        let port = free_port();
        let lines = format!(
            "service web\nlisten 127.0.0.1:{port}\nserver 0 address 127.0.0.1 port {}\nclients_from main\n",
            servers[1].port()
        );
        let pen = with(Pen::before([&servers[0]])).config(&lines).start();
        let mut clients = [pen.connect_from("127.0.0.6"), Client::connect(([127, 0, 0, 1], port).into())];
        assert_eq!(clients.each_mut().map(Client::line), ["A", "B"]);
        assert_eq!(clients[1].exchange("hello"), "hello");
        Two { pen, port, _servers: servers, _clients: clients }
    }
}

fn status(pen: &Pen, line: &str) -> Value {
    serde_json::from_str(&pen.control(line)).expect("JSON")
}

#[test]
fn json_tells_of_every_service_what_it_tells_of_one() {
    let two = Two::start(|start| start);
    let main = status(&two.pen, "status json");
    assert_eq!((&main["service"], &main["listen"][0]), (&"main".into(), &two.pen.address.to_string().into()));
    assert_eq!((&main["servers"][0]["connections"], &main["connections_used"]), (&1.into(), &2.into()));
    assert_eq!((main["connections"].as_array().unwrap().len(), &main["totals"]["accepted"]), (1, &1.into()));
    let web = &main["services"][0];
    assert_eq!(main["services"].as_array().unwrap().len(), 1);
    for (field, wanted) in [("name", "web"), ("kind", "tcp"), ("clients_from", "main")] {
        assert_eq!(web[field], wanted, "{web}");
    }
    assert_eq!(web["listen"][0], format!("127.0.0.1:{}", two.port));
    assert_eq!(web["connections_used"], 1);
    assert_eq!((&web["totals"]["up_bytes"], &web["servers"][0]["sent_bytes"]), (&6.into(), &6.into()));
    assert_eq!(web["clients"].as_array().unwrap().len(), 2, "one table for both: {web}");
    assert_eq!(status(&two.pen, "service web servers json"), web["servers"]);
    assert_eq!(status(&two.pen, "service web status json")["service"], "web");
    assert_eq!(two.pen.control("service remove web now"), "");
    let alone = |status: &Value| status.get("services").is_none() && status.get("service").is_none();
    eventually("main to be alone", || status(&two.pen, "status json"), alone);
}

#[test]
fn usr1_prints_the_blocks_of_each_service_under_its_name() {
    let two = Two::start(|start| start);
    two.pen.signal(SIGUSR1);
    let is_whole = |text: &String| text.matches("downfd = ").count() == 2;
    let text = eventually("both connections", || two.pen.stderr(), is_whole);
    let (main, web) = text.split_once("Service web (tcp), 1 servers, 0 current\n").expect(&text);
    for part in [main, web] {
        assert_eq!(part.matches("Server 0 status:").count(), 1, "{part}");
        assert_eq!(part.matches("Active connections:").count(), 1, "{part}");
    }
    assert!(web.contains("6 sent, "), "{web}");
}

#[test]
fn the_page_has_a_section_for_each_service() {
    let two = Two::start(|start| start.options("-w stats.html"));
    two.pen.signal(SIGUSR1);
    let page = eventually("the page", || two.pen.text("stats.html"), |page| page.contains("</html>"));
    let (main, web) = page.split_once("<section aria-label=\"service web\">").expect(&page);
    for part in [main, web] {
        assert!(part.contains("<h2>Active connections</h2>"), "{part}");
    }
    assert!(web.contains(&format!("<p>tcp · listening on 127.0.0.1:{}</p>", two.port)), "{web}");
    assert_eq!(page.matches("<table ").count(), 6);
    assert!(two.pen.control("status").contains("<section aria-label=\"service web\">"));
}

#[test]
fn metrics_name_the_service_of_a_row_unless_it_is_main() {
    let two = Two::start(|start| start);
    let metrics = two.pen.control("metrics");
    for line in [
        "pen_connections 1",
        "pen_connections{service=\"web\"} 1",
        "pen_relayed_bytes_total{service=\"web\",to=\"server\"} 6",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert!(metrics.contains("\npen_server_connections{server=\"0\","), "{metrics}");
    assert!(metrics.contains("\npen_server_connections{service=\"web\",server=\"0\","), "{metrics}");
    assert_eq!(metrics.matches("# TYPE pen_server_connections gauge").count(), 1);
    assert!(!metrics.contains("service=\"main\""));
}
