//! Unit tests of `html`.

#[path = "../../../tests/common/pages.rs"]
mod pages;

use super::super::samples;
use super::*;

#[test]
fn matches_the_golden_file() {
    samples::assert_golden("status.html", &render(&samples::busy()));
}

#[test]
fn pens_words_are_found() {
    let mut status = samples::idle();
    status.time_local = "2026-11-21 01:22:41".into();
    status.servers = vec![ServerStatus::default(), ServerStatus { index: 1, ..Default::default() }];
    status.current_server = 1;
    status.clients_max = 3000;
    status.connections_max = 600;
    let page = render(&status);
    for words in [
        "<title>Pen status page</title>",
        "<h1>Pen status page</h1>",
        "Time 2026-11-21 01:22:41, 2 servers, 1 current",
        "<h2>Active clients</h2>",
        "Max number of clients: 3000",
        "<h2>Active connections</h2>",
        "Number of connections: 600 max, 0 used, 0 last",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn raw_values_stand_first_in_their_cells() {
    let page = render(&samples::busy());
    assert!(page.contains("\n<td>1795224188 <small class=\"bad\">blacklisted, 12 s left</small></td>\n"));
    assert!(page.contains("\n<td>-1 <small>emergency</small></td>\n"));
    assert!(page.contains("\n<td>9761200448 <small>9.1 GiB</small><svg "));
}

#[test]
fn every_state_is_said_with_its_word_and_the_servers_in_trouble_first() {
    let mut status = samples::busy();
    let states = [ServerState::Draining, ServerState::Disabled, ServerState::Down, ServerState::Removing];
    status.servers.iter_mut().zip(states).for_each(|(server, state)| server.state = Some(state));
    let page = render(&status);
    assert!(page.contains("<p class=\"alarm\">Down: server 2 (2001:db8::17)</p>"));
    assert!(page.contains("<small class=\"bad\">down, 12 s left</small>"));
    for word in ["draining", "disabled", "removing"] {
        assert!(page.contains(&format!("<small class=\"warn\">{word}</small>")), "{word}");
    }
}

#[test]
fn a_clone_is_called_one() {
    let mut status = samples::busy();
    status.servers[0].role = Role::Clone;
    status.servers[0].uris = Some(2);
    let page = render(&status);
    assert_eq!(page.matches(" <small>clone, 2 URIs</small></td>\n").count(), 1, "{page}");
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let page = render(&samples::hostile());
    assert!(!page.contains("<script"));
    assert!(!page.contains(|c: char| c != '\n' && crate::escape::is_dangerous(c)));
    assert!(page.contains(
        "/run/&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\\\\n\\x1b[2J\\u{202e}.sock"
    ));
}

#[test]
fn loads_nothing() {
    let page = render(&samples::busy());
    for reference in ["src=", "href", "url(", "@import", "http:", "https:", "<script", "style=\""] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn the_figures_read_back_as_the_same_snapshot() {
    for status in [samples::busy(), samples::hostile(), samples::idle()] {
        assert_eq!(figures(&render(&status)), Some(status));
    }
}

#[test]
fn what_is_no_page_of_pens_has_no_figures() {
    let page = render(&samples::busy());
    let cut = &page[..page.len() - "</body>\n</html>\n".len()];
    let (before, _) = page.split_once(FIGURES_BEGIN).unwrap();
    let torn = format!("{before}{FIGURES_BEGIN}{{\"version\":{FIGURES_END}");
    for text in ["", "<html>", cut, before, &torn] {
        assert_eq!(figures(text), None);
    }
}

#[test]
fn the_policy_admits_the_style() {
    pages::assert_is_sha256(STYLE_SHA256, STYLE);
}

#[test]
fn a_parser_finds_the_elements_in_balance() {
    for (status, shape) in [
        (samples::busy(), "13x6 7x4 13x3"),
        (samples::hostile(), "13x1 7x1 13x1 13x1 7x1 13x1"),
        (samples::several(), "13x6 7x4 13x3 13x1 7x1 13x1"),
        (samples::idle(), "13x0 7x0 13x0"),
    ] {
        if let Some(found) = pages::table_shapes(&render(&status)) {
            assert_eq!(found.trim_end(), shape);
        }
    }
}

#[test]
fn tidy_has_no_complaint() {
    for status in [samples::busy(), samples::several(), samples::hostile(), samples::idle()] {
        pages::assert_tidy(&render(&status), &[]);
    }
}

#[test]
fn datagrams_are_told_of_with_udp_only() {
    let page = render(&samples::busy_with_udp());
    assert!(page.contains("<li>datagrams dropped <span>12</span></li>"), "{page}");
    assert!(!render(&samples::busy()).contains("<li>datagrams"));
}

#[test]
fn every_other_service_has_a_section_of_its_own() {
    let page = render(&samples::several());
    let (main, web) = page.split_once("<section aria-label=\"service web\">\n").unwrap();
    assert!(main.contains("<p>Service main; below: web</p>"), "{main}");
    assert!(main.contains("Blacklisted: server 2 (2001:db8::17), server 0 (10.0.1.1) of web</p>"), "{main}");
    let busy = render(&samples::busy());
    let (_, tables) = busy.split_once("<h2>Servers</h2>").unwrap();
    let (tables, _) = tables.split_once("<div hidden").unwrap();
    assert!(main.ends_with(tables), "what is told of main is the same");
    for words in [
        "<h2>Service web</h2>\n<p>udp · listening on 127.0.0.1:5353</p>",
        "<p>Clients: from main</p>",
        "<td>10.0.1.1</td>",
        "<p>Max number of clients: 100</p>",
        "<p>Number of connections: 1 used, 5 last</p>",
        "<li>datagrams to servers <span>8</span></li>",
    ] {
        assert!(web.contains(words), "{words}");
    }
}
