//! The page as a whole, its grammar, and rows that only some pens have.

use super::super::samples;
use super::*;
use pen_proto::status::{NeighbourStatus, ProcessStatus, ServerState};
use std::collections::BTreeSet;

#[test]
fn the_word_of_a_state_is_told_where_it_is_known() {
    let mut status = samples::busy();
    assert!(!render(&status).contains("pen_server_state"));
    status.servers[2].state = Some(ServerState::Down);
    let line = "\npen_server_state{server=\"2\",address=\"[2001:db8::17]:8080\",state=\"down\"} 1\n";
    let text = render(&status);
    assert!(text.contains(line), "{text}");
}

#[test]
fn matches_the_golden_file() {
    samples::assert_golden("status.prom", &render(&samples::busy()));
}

#[test]
fn rows_of_other_services_have_their_name_and_those_of_main_none() {
    let (text, busy) = (render(&samples::several()), render(&samples::busy()));
    for line in [
        "pen_connections 3",
        "pen_connections{service=\"web\"} 1",
        "pen_clients_max{service=\"web\"} 100",
        "pen_connections_accepted_total{service=\"web\"} 77",
        "pen_resets_total{service=\"web\",side=\"client\"} 0",
        "pen_relayed_datagrams_total{service=\"web\",to=\"server\"} 8",
        "pen_server_up{service=\"web\",server=\"0\",address=\"10.0.1.1:8080\"} 0",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}: {text}");
    }
    let unnamed = |text: &str| -> Vec<String> {
        let of_main = |line: &&str| !line.contains("service=") && !line.starts_with("pen_connections ");
        text.lines()
            .filter(of_main)
            .filter(|line| !line.contains("atagrams") && !line.contains("evicted"))
            .map(String::from)
            .collect()
    };
    assert_eq!(unnamed(&text), unnamed(&busy));
}

#[test]
fn a_service_that_is_alone_and_not_main_is_named() {
    let text = render(&Status { service: "web".into(), ..samples::busy() });
    assert!(text.contains("\npen_connections{service=\"web\"} 152\n"), "{text}");
}

#[test]
fn keeps_the_grammar() {
    for status in [
        samples::busy(),
        samples::busy_with_udp(),
        samples::several(),
        samples::hostile(),
        samples::idle(),
        Status::default(),
    ] {
        check_grammar(&render(&status)).unwrap();
    }
}

#[test]
fn a_place_without_a_server_is_not_up() {
    let server =
        |index, address: &str| ServerStatus { index, address: address.into(), ..ServerStatus::default() };
    let servers = vec![server(0, "10.0.0.1"), server(1, ""), server(2, "0.0.0.0"), server(3, "/run/app")];
    let page = render(&Status { servers, ..Status::default() });
    let up: Vec<_> = page.lines().filter(|line| line.starts_with("pen_server_up{")).collect();
    let values: String = up.iter().filter_map(|line| line.chars().last()).collect();
    assert_eq!(values, "1001", "{up:?}");
}

#[test]
fn a_clone_says_that_it_is_one() {
    let server = |index, role| ServerStatus { index, role, ..ServerStatus::default() };
    let servers = vec![server(0, Role::Member), server(1, Role::Clone)];
    let page = render(&Status { servers, ..Status::default() });
    check_grammar(&page).unwrap();
    let clones = page.lines().filter(|line| line.contains("role=\"clone\""));
    let servers = page.lines().filter(|line| line.contains("server=\"1\""));
    assert!(servers.eq(clones) && page.contains("pen_server_up{server=\"1\""), "{page}");
}

#[test]
fn direct_server_return_has_its_own() {
    let server = |address: &str, mac: &str| NeighbourStatus { address: address.into(), mac: mac.into() };
    let servers = vec![server("10.0.0.1", "02:00:00:00:00:01"), server("10.0.0.2", "")];
    let dsr = DsrStatus { forwarded: 7, overrun: 3, servers, ..DsrStatus::default() };
    let page = render(&Status { dsr: Some(dsr), ..samples::idle() });
    check_grammar(&page).unwrap();
    for line in [
        "pen_dsr_forwarded_frames_total 7",
        "pen_dsr_dropped_frames_total{reason=\"overrun\"} 3",
        "pen_dsr_server_known{address=\"10.0.0.1\"} 1",
        "pen_dsr_server_known{address=\"10.0.0.2\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}");
    }
    assert!(!render(&samples::busy()).contains("pen_dsr"));
}

#[test]
fn datagrams_are_told_of_with_udp_only() {
    let page = render(&samples::busy_with_udp());
    assert!(page.contains("pen_relayed_datagrams_total{to=\"server\"} 812340\n"), "{page}");
    assert!(page.contains("\npen_sessions_evicted_total 3001\n"), "{page}");
    assert!(!render(&samples::busy()).contains("datagrams"));
}

#[test]
fn a_server_that_failed_is_not_up_before_it_was_seen_well() {
    let mut status = samples::busy();
    status.servers[0].state = Some(ServerState::Up);
    let up = "\npen_server_up{server=\"0\",address=\"10.0.0.1:8080\"} ";
    assert!(render(&status).contains(&format!("{up}1\n")));
    status.servers[0].failed = true;
    assert!(render(&status).contains(&format!("{up}0\n")), "its blacklist time is over, and that is all");
}

#[test]
fn times_are_told_of_servers_that_were_met() {
    let mut times = ServerTimes::default();
    [0, 3, 20_000].into_iter().for_each(|ms| times.connect.observe(ms));
    let mut status = samples::busy();
    status.servers[1].times = Some(times);
    let page = render(&status);
    check_grammar(&page).unwrap();
    let labels = "server=\"1\",address=\"10.0.0.2:8080\"";
    for line in [
        format!("pen_server_connect_seconds_bucket{{{labels},le=\"0.001\"}} 1"),
        format!("pen_server_connect_seconds_bucket{{{labels},le=\"0.005\"}} 2"),
        format!("pen_server_connect_seconds_bucket{{{labels},le=\"10\"}} 2"),
        format!("pen_server_connect_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
        format!("pen_server_connect_seconds_sum{{{labels}}} 20.003"),
        format!("pen_server_connect_seconds_count{{{labels}}} 3"),
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert_eq!(page.matches("# TYPE pen_server_connect_seconds histogram").count(), 1);
    assert!(!page.contains("pen_server_first_byte_seconds"), "it has said nothing yet");
}

#[test]
fn why_clients_were_turned_away_is_told_for_each_service() {
    let mut status = samples::several();
    status.services[0].totals.ends.count(CloseReason::NoServer);
    status.totals.ends.count(CloseReason::Finished);
    let page = render(&status);
    for line in [
        "pen_clients_refused_total{reason=\"no_server\"} 0",
        "pen_clients_refused_total{service=\"web\",reason=\"no_server\"} 1",
        "pen_clients_refused_total{service=\"web\",reason=\"handshake_timeout\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(!page.contains("reason=\"finished\""), "who was served was not refused");
}

#[test]
fn the_process_is_told_by_the_names_of_prometheus() {
    let process =
        ProcessStatus { cpu_milliseconds: Some(61_007), descriptors_max: 1024, ..ProcessStatus::default() };
    let page = render(&Status { process: Some(process), ..samples::busy() });
    check_grammar(&page).unwrap();
    for line in
        ["process_cpu_seconds_total 61.007", "process_max_fds 1024", "process_start_time_seconds 1794950299"]
    {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(!page.contains("process_open_fds"), "the system does not tell");
    assert!(!render(&samples::busy()).contains("process_"));
}

#[test]
fn several_pens_share_the_families_and_a_silent_one_has_no_figures() {
    let (busy, several) = (samples::busy(), samples::several());
    let pen = |name, status, answers| Pen { name: Some(name), status, answers: Some(answers) };
    let page = render_pens(&[
        pen("a", Some(&busy), true),
        pen("b", Some(&several), true),
        pen("c", Some(&busy), false),
        pen("d", None, false),
    ]);
    check_grammar(&page).unwrap();
    for line in [
        "pen_up{pen=\"a\"} 1",
        "pen_up{pen=\"d\"} 0",
        "pen_build_info{pen=\"a\",version=\"0.1.0\"} 1",
        "pen_connections{pen=\"b\",service=\"web\"} 1",
        "pen_server_up{pen=\"a\",server=\"0\",address=\"10.0.0.1:8080\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert_eq!(page.matches("pen=\"c\"").count(), 1);
    check_grammar(&render_pens(&[pen("d", None, false)])).unwrap();
}

#[test]
fn the_grammar_check_finds_mistakes() {
    let head = "# HELP a_total x\n# TYPE a_total counter\n";
    for wrong in [
        "a_total 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        &format!("{head}b_total 1\n"),
        &format!("{head}a_total one\n"),
        &format!("{head}a_total{{x=\"1\\q\"}} 1\n"),
        &format!("{head}a_total{{x=\"1\"y=\"2\"}} 1\n"),
        &format!("{head}a_total 1\na_total 2\n"),
        &format!("{head}a_total 1"),
        &format!("{head}{head}a_total 1\n"),
        &format!("{head}1a_total 1\n"),
    ] {
        assert!(check_grammar(wrong).is_err(), "{wrong}");
    }
}

/// Families in one piece, headed by HELP and TYPE, counters and only counters in `_total`, no sample twice.
fn check_grammar(page: &str) -> Result<(), String> {
    let mut families = BTreeSet::new();
    let mut samples = BTreeSet::new();
    let mut lines = page.strip_suffix('\n').ok_or("no newline at the end")?.split('\n').peekable();
    while let Some(help) = lines.next() {
        let (name, text) = help.strip_prefix("# HELP ").and_then(|h| h.split_once(' ')).ok_or(help)?;
        let kind =
            lines.next().and_then(|t| t.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '));
        let (counter, suffixes): (bool, &[&str]) = match kind {
            Some("counter") => (true, &[""]),
            Some("gauge") => (false, &[""]),
            Some("histogram") => (false, &["_bucket", "_sum", "_count"]),
            _ => return Err(format!("{name}: TYPE {kind:?}")),
        };
        let named = is_name(name) && counter == name.ends_with("_total") && !text.is_empty();
        if !named || !families.insert(name) {
            return Err(format!("family {name}"));
        }
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = sample.rsplit_once(' ').ok_or(sample)?;
            value.parse::<f64>().map_err(|_| sample)?;
            let rest = series.strip_prefix(name).ok_or(sample)?;
            let label_lists = suffixes.iter().filter_map(|suffix| rest.strip_prefix(suffix));
            label_lists.map(check_labels).find(Result::is_ok).ok_or(sample)??;
            if !samples.insert(series) {
                return Err(format!("twice: {series}"));
            }
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Nothing, or `{name="value",name="value"}`.
fn check_labels(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    let mut rest = text.strip_prefix('{').ok_or(text)?;
    loop {
        let (name, value) = rest.split_once("=\"").ok_or(text)?;
        rest = after_value(value).filter(|_| is_name(name)).ok_or(text)?;
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (rest == "}").then_some(()).ok_or(text.into()),
        }
    }
}

/// What follows the closing quote of a label value.
fn after_value(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(&text[at + 1..]),
            '\\' if !matches!(chars.next()?.1, '\\' | '"' | 'n') => return None,
            '\n' => return None,
            _ => {}
        }
    }
    None
}
