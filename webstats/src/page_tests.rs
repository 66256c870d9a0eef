//! Unit tests of `page`: what it shows, what it never contains, and that it can be read.

#[path = "../../tests/common/pages.rs"]
mod checks;

use super::*;
use crate::history::{History, tests::sample};
use pen_proto::status::{ServerStatus, Totals};
use pen_proto::weight::Weight;

/// 2026-11-21 01:23:26 UTC.
const NOW: u64 = 1_795_224_206;

fn server(index: i32, address: &str) -> ServerStatus {
    ServerStatus { index, address: address.into(), port: 80, ..Default::default() }
}

fn client(slot: u32, address: &str, server: i32, bytes: u64) -> ClientStatus {
    ClientStatus {
        slot,
        address: address.into(),
        server,
        connects: 1,
        sent_bytes: bytes,
        ..Default::default()
    }
}

fn busy() -> Status {
    Status {
        version: "0.1.0".into(),
        time_local: "2026-11-21 02:23:26".into(),
        time_epoch_seconds: NOW,
        uptime_seconds: 273_907,
        listen: vec!["0.0.0.0:80".into()],
        connections_max: 600,
        connections_used: 96,
        clients_max: 2048,
        servers: vec![
            ServerStatus {
                connections: 96,
                max: 200,
                sent_bytes: 1 << 20,
                received_bytes: 3 << 20,
                weight: Some(Weight::whole(3)),
                ..server(0, "10.0.0.1")
            },
            ServerStatus { blacklisted_seconds: 12, failures_total: 37, ..server(1, "2001:db8::17") },
            ServerStatus { connections: 7, max: 7, ..server(2, "/run/app.sock") },
            ServerStatus::default(),
            server(-1, "10.0.9.1"),
        ],
        clients: (0..40)
            .map(|n| client(n, &format!("192.0.2.{n}"), (n % 3) as i32, 1000 * u64::from(n)))
            .collect(),
        totals: Totals { accepted: 254_431, rejected: 4, failovers: 39, ..Default::default() },
        ..Default::default()
    }
}

fn hostile() -> Status {
    let evil = "/run/<script>alert(\"1\")</script>&'\\\n\x1b[2J\u{202e}.sock";
    let mut status = busy();
    status.version = evil.into();
    status.time_local = evil.into();
    status.listen = vec![evil.into()];
    status.servers = vec![server(0, evil)];
    status.clients = vec![client(0, evil, 0, 1)];
    status
}

/// A day of samples of server 0.
fn day() -> History {
    let mut history = History::default();
    for run in 0..144 {
        let time = NOW - 86_400 + 600 * run;
        history.add("web", sample(time, 100_000 + 600 * run, (run % 50) as u32, 90 * run, 1_000_000 * run));
    }
    history
}

fn page_of(name: &str, status: Option<&Status>, trouble: Option<&str>) -> String {
    let history = day();
    let pens = [PenView { name, status, trouble, samples: history.samples("web") }];
    render(&View { pens: &pens, refresh_seconds: Some(5), json: Some("status.json") })
}

fn pages() -> Vec<String> {
    let (busy, hostile, evil) = (busy(), hostile(), "<b>\"'&\u{202e}");
    let pen = |name, status| PenView { name, status, trouble: None, samples: &[] };
    let pens = [pen("first", Some(&busy)), pen(evil, Some(&hostile)), pen("silent", None)];
    vec![
        page_of("", Some(&busy), None),
        page_of(evil, Some(&hostile), Some(evil)),
        page_of("", None, Some("it is gone")),
        page_of("", Some(&Status::default()), None),
        render(&View { pens: &pens, refresh_seconds: None, json: None }),
        render(&View { pens: &[], refresh_seconds: None, json: None }),
    ]
}

fn assert_has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "{part:?} is not in\n{page}");
    }
}

#[test]
fn the_page_shows_how_everything_is() {
    let page = page_of("", Some(&busy()), None);
    assert_has(
        &page,
        &[
            "<title>1 of 3 servers is skipped</title>",
            "<header class=\"verdict warn\">",
            "Figures of <time>2026-11-21 02:23:26</time> · pen 0.1.0 · up 3 d 4 h · listening on 0.0.0.0:80",
            "server 0</b> <span class=\"badge good\">up</span>",
            "<li>connections <span>96 of 200<svg",
            "<li>of all traffic <span>100 %</span></li>",
            "<li>weight, prio <span>3, 0</span></li>",
            "server 1</b> <span class=\"badge bad\">blacklisted, 12 s</span>",
            "<p class=\"address\">[2001:db8::17]:80</p>",
            "<li>failures <span><span class=\"warn\">37</span></span></li>",
            "server 2</b> <span class=\"badge warn\">full</span>",
            "emergency server</b> <span class=\"badge good\">up</span>",
            "<small>39 moved to another server</small>",
            "<h2>The last day</h2>",
            "<caption>12 of 40 remembered, by bytes</caption>",
            "<th scope=\"row\">192.0.2.39</th>\n<td>server 0 (10.0.0.1:80)</td>",
            ">20:00</text>",
            "<meta http-equiv=\"refresh\" content=\"5\">",
            "<a href=\"status.json\">",
        ],
    );
    assert!(!page.contains("192.0.2.27<"), "thirteenth by bytes");
    assert!(!page.contains("server 3<"), "nobody took this place");
}

#[test]
fn a_silent_pen_keeps_its_last_figures_and_its_day() {
    let page = page_of("web", Some(&busy()), Some("/run/pen.ctl: pen did not answer in time"));
    assert_has(
        &page,
        &["<h1>web</h1>", "pen does not answer", "/run/pen.ctl: pen did not", "Last known, from <time>"],
    );
    let page = page_of("web", None, Some("gone"));
    assert_has(
        &page,
        &["<title>pen does not answer</title>", "server 0 (10.0.0.1:80)", "class=\"c0\" d=\"M"],
    );
}

#[test]
fn of_several_pens_the_worst_is_said_first() {
    let (sick, mut well) = (busy(), busy());
    well.servers.truncate(1);
    let pen = |name, status| PenView { name, status, trouble: None, samples: &[] };
    let page = |pens: &[PenView]| render(&View { pens, refresh_seconds: None, json: None });
    assert_has(
        &page(&[pen("a", Some(&well)), pen("b", Some(&sick)), pen("c", None)]),
        &[
            "<title>c: pen does not answer</title>",
            "<h2 class=\"name\">a <span class=\"badge good\">The server is up</span></h2>",
            "<h2 class=\"name\">b <span class=\"badge warn\">1 of 3 servers is skipped</span></h2>",
            "<h3>Servers</h3>",
        ],
    );
    assert_has(&page(&[pen("a", Some(&well)), pen("b", Some(&well))]), &["<title>All 2 are well</title>"]);
}

#[test]
fn of_many_servers_those_in_trouble_are_shown() {
    let mut status = busy();
    status.servers = (0..500).map(|index| server(index, "10.0.0.1")).collect();
    status.servers[499].blacklisted_seconds = 5;
    let page = page_of("", Some(&status), None);
    assert_has(&page, &["server 47</b>", "server 499</b>", "<p>And 451 more servers in good order.</p>"]);
    assert!(!page.contains("server 48</b>"));
}

#[test]
fn rates_come_from_the_last_two_samples() {
    let samples = [sample(NOW - 10, 100, 1, 100, 0), sample(NOW, 110, 1, 125, 20_480)];
    let status = busy();
    let pens = [PenView { name: "", status: Some(&status), trouble: None, samples: &samples }];
    let page = render(&View { pens: &pens, refresh_seconds: None, json: None });
    assert_has(
        &page,
        &["connections/s</span> <b>2.5</b>", "traffic/s</span> <b>2.0 KiB</b>", "The last 10 min"],
    );
    let pens = [PenView {
        samples: &samples[..1],
        ..PenView { name: "", status: Some(&status), trouble: None, samples: &[] }
    }];
    let page = render(&View { pens: &pens, refresh_seconds: None, json: None });
    assert_has(&page, &["<span>connections so far</span> <b>254\u{202f}431</b>"]);
}

#[test]
fn nothing_from_outside_becomes_markup() {
    for page in pages() {
        assert!(!page.contains("<script") && !page.contains("<b>\"") && !page.contains(": <b>"));
        assert!(!page.contains(|c: char| c != '\n' && pen_proto::escape::is_dangerous(c)));
    }
}

#[test]
fn the_page_loads_nothing() {
    for page in pages() {
        let page = page.replace("xmlns='http://www.w3.org/2000/svg'", "");
        for reference in ["src=", "url(", "@import", "http:", "https:", "<script", "style=\"", "javascript"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}

#[test]
fn numbers_per_second_have_three_digits_at_most() {
    for (value, words) in [
        (0.0, "0"),
        (0.004, "0"),
        (0.05, "0.05"),
        (2.5, "2.5"),
        (12.34, "12.3"),
        (20.0, "20"),
        (1234.5, "1\u{202f}235"),
    ] {
        assert_eq!(rate(value), words);
    }
}

#[test]
fn the_time_zone_of_pen_is_found() {
    let offset = |time_local: &str| utc_offset_seconds(&Status { time_local: time_local.into(), ..busy() });
    assert_eq!(offset("2026-11-21 01:23:26"), 0);
    assert_eq!(offset("2026-11-21 06:53:25"), 19_800);
    assert_eq!(offset("2026-11-20 20:23:27"), -18_000);
    assert_eq!(offset("soon"), 0);
}

#[test]
fn the_policy_admits_the_style() {
    checks::assert_is_sha256(OWN_STYLE_SHA256, OWN_STYLE);
}

#[test]
fn a_parser_finds_the_elements_in_balance() {
    for page in pages() {
        checks::table_shapes(&page);
    }
}

#[test]
fn tidy_has_no_complaint() {
    for page in pages() {
        checks::assert_tidy(&for_tidy(&page), &[]);
    }
}

mod contrast {
    use super::*;
    use std::collections::HashMap;

    type Colour = [f64; 3];

    /// The variables of both style sheets: those for light, or for dark where there is another.
    fn colours(dark: bool) -> HashMap<String, Colour> {
        let mut colours = HashMap::new();
        for style in [STYLE, OWN_STYLE] {
            let (light, rest) = style.split_once("@media (prefers-color-scheme: dark)").unwrap();
            let (dark_part, _) = rest.split_once("\n}").unwrap();
            for part in [light, if dark { dark_part } else { "" }] {
                for (name, value) in part.split("--").skip(1).filter_map(|entry| entry.split_once(": #")) {
                    let digit = |at| f64::from(u8::from_str_radix(&value[at..at + 2], 16).unwrap()) / 255.0;
                    colours.insert(name.to_string(), [digit(0), digit(2), digit(4)]);
                }
            }
        }
        colours
    }

    /// WCAG 2.2, relative luminance.
    fn luminance(colour: Colour) -> f64 {
        let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2])
    }

    fn ratio(a: Colour, b: Colour) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    fn mix(over: Colour, percent: f64, under: Colour) -> Colour {
        std::array::from_fn(|at| over[at] * percent / 100.0 + under[at] * (1.0 - percent / 100.0))
    }

    /// WCAG 2.2: 4.5 for text (1.4.3), 3 for what carries meaning without being text (1.4.11).
    #[test]
    fn everything_can_be_told_from_its_ground() {
        for dark in [false, true] {
            let colours = colours(dark);
            let of = |name: &str| *colours.get(name).unwrap_or_else(|| panic!("no colour {name}"));
            let assert_ratio = |name: &str, ground: Colour, least: f64| {
                let found = ratio(of(name), ground);
                assert!(found >= least, "{name}, dark {dark}: {found:.2}, want {least}");
            };
            for text in ["ink", "quiet", "good-ink", "warn-ink", "bad-ink"] {
                assert_ratio(text, of("card"), 4.5);
                assert_ratio(text, of("ground"), 4.5);
            }
            for state in ["good", "warn", "bad"] {
                assert_ratio(&format!("{state}-ink"), mix(of(state), 18.0, of("card")), 4.5);
            }
            for colour in 0..crate::series::COLOURS {
                assert_ratio(&format!("c{colour}"), of("card"), 3.0);
            }
        }
    }
}

/// It does not know that SVG may contain SVG.
fn for_tidy(page: &str) -> String {
    let inner = "<svg y=\"6\" height=\"132\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\">";
    page.replace(inner, "<svg>")
}

/// The busy one with a service `web` beside it.
fn several() -> Status {
    let web = ServiceStatus {
        name: "web".into(),
        kind: "tcp".into(),
        listen: vec!["0.0.0.0:8080".into()],
        connections_used: 1,
        servers: vec![ServerStatus { connections_total: 7, ..server(0, "10.0.7.7") }],
        clients: vec![client(0, "192.0.2.99", 0, 5)],
        ..Default::default()
    };
    Status { service: "main".into(), services: vec![web], ..busy() }
}

fn page_of_two(status: &Status) -> String {
    let mut history = History::default();
    for time in [NOW - 10, NOW] {
        history.add("", Sample::of(&Status { time_epoch_seconds: time, ..status.clone() }));
    }
    let pens = [PenView { name: "", status: Some(status), trouble: None, samples: history.samples("") }];
    render(&View { pens: &pens, refresh_seconds: None, json: None })
}

#[test]
fn every_other_service_has_a_section_with_its_servers_and_day() {
    let status = several();
    let page = page_of_two(&status);
    assert!(page.contains("<title>main: 1 of 3 servers is skipped</title>"), "{page}");
    let (main, web) = page.split_once("<section aria-label=\"service web\">").unwrap();
    assert!(main.contains("10.0.0.1:80") && !main.contains("10.0.7.7"), "{main}");
    for part in [
        "<h2 class=\"name\">Service web <span class=\"badge good\">The server is up</span></h2>",
        "<p>tcp · 1 connection · listening on 0.0.0.0:8080</p>",
        "<p class=\"address\">10.0.7.7:80</p>",
        "server 0 (10.0.7.7:80)</li>",
        "192.0.2.99",
    ] {
        assert!(web.contains(part), "{part} is not in\n{web}");
    }
    assert!(!web.contains("10.0.0.1:80"), "{web}");
    checks::assert_tidy(&for_tidy(&page), &[]);
    let mut evil = several();
    evil.services[0].name = "\"><script>'".into();
    evil.services[0].listen.clear();
    let page = page_of_two(&evil);
    assert!(!page.contains("<script"), "{page}");
    checks::assert_tidy(&for_tidy(&page), &[]);
}
