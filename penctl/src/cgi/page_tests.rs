//! Tests of the documents: well-formed, escaped, without anything that runs or is loaded, and without a button for those
//! who may not press it.

#[path = "../../../tests/common/pages.rs"]
mod checks;

use super::*;
use crate::views::tests::{FakePen, hostile};

/// It is older than aria-current.
const TIDY_OPTIONS: [&str; 4] = ["--show-info", "no", "--warn-proprietary-attributes", "no"];

fn visit() -> Visit {
    Visit { user: "anna".into(), ..Visit::default() }
}

fn page(view: View, reach: Reach, pen: &FakePen) -> String {
    let said = Said { command: "mode".into(), outcome: Ok("no hash\n<b>\n".into()) };
    render(&Sheet {
        visit: &visit(),
        reach,
        path: "/penctl",
        token: "c0ffee",
        view,
        said: Some(said),
        content: Content::fetch(view, &mut pen.clone()),
    })
}

fn pages() -> Vec<String> {
    let reaches = [Reach::Asks, Reach::Servers, Reach::Everything];
    let pens = [FakePen::default(), hostile()];
    let all = View::ALL.into_iter().flat_map(|view| reaches.map(|reach| (view, reach)));
    all.flat_map(|(view, reach)| pens.each_ref().map(|pen| page(view, reach, pen))).collect()
}

#[test]
fn buttons_are_for_those_who_may_press_them() {
    let pen = FakePen::default();
    for view in View::ALL {
        let page = page(view, Reach::Asks, &pen);
        assert!(!page.contains("method=\"post\"") && !page.contains("c0ffee"), "{view:?}");
    }
    let servers = page(View::Servers, Reach::Servers, &pen);
    for part in [
        "value=\"server 0\"",
        "<button>Blacklist</button>",
        "value=\"server 1 blacklist 0\"",
        "<button class=\"main\">Release</button>",
        "name=\"token\" value=\"c0ffee\"",
        "name=\":weight\" value=\"3\"",
    ] {
        assert!(servers.contains(part), "{part} is not in\n{servers}");
    }
    assert!(!servers.contains("value=\"server -1\""), "the emergency server has no number");
    assert!(page(View::Connections, Reach::Servers, &pen).contains("value=\"close 17\""));
    assert!(!page(View::Settings, Reach::Servers, &pen).contains("<button>Set</button>"));
    let settings = page(View::Settings, Reach::Everything, &pen);
    for part in [
        "value=\"no hash\"",
        "<button>Turn off</button>",
        "value=\"roundrobin\"",
        "value=\"blacklist\"",
        "name=\":\" value=\"30\"",
    ] {
        assert!(settings.contains(part), "{part} is not in\n{settings}");
    }
}

#[test]
fn figures_and_answers_are_shown() {
    let pen = FakePen::default();
    let servers = page(View::Servers, Reach::Asks, &pen);
    for part in [
        "10.0.0.1:8080",
        "[2001:db8::1]:80",
        "blacklisted, 1 min",
        "emergency server",
        "anna may look",
        "no hash\n&lt;b&gt;</pre>",
    ] {
        assert!(servers.contains(part), "{part} is not in\n{servers}");
    }
    assert!(page(View::Connections, Reach::Asks, &pen).contains("<h2>1 connection</h2>"));
    let settings = page(View::Settings, Reach::Asks, &pen);
    assert!(settings.contains("<td>4 connections</td>"), "the idlers that are wanted: {settings}");
    assert!(settings.contains("<td>60 seconds</td>"), "idle_timeout");
}

#[test]
fn what_pen_says_never_becomes_markup() {
    for page in pages() {
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("<b>evil"), "{page}");
        assert!(!page.contains(|c: char| c != '\n' && pen_proto::escape::is_dangerous(c)));
        for reference in ["src=", "url(", "@import", "http:", "https:", "style=\"", "javascript", "onclick"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }
}

#[test]
fn of_many_connections_the_newest_are_shown() {
    let page = page(View::Connections, Reach::Servers, &FakePen::with_connections(5000));
    assert!(page.contains("<h2>5000 connections, the newest 200 of them shown</h2>"));
    assert_eq!(page.matches("<button>Close</button>").count(), 200);
}

#[test]
fn the_policy_admits_the_style() {
    checks::assert_is_sha256(OWN_STYLE_SHA256, OWN_STYLE);
    assert!(policy().contains(OWN_STYLE_SHA256));
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
        checks::assert_tidy(&page, &TIDY_OPTIONS);
    }
}

#[test]
fn other_services_have_a_section_whose_buttons_name_them() {
    let pen = FakePen::with_service("web");
    let servers = page(View::Servers, Reach::Servers, &pen);
    let (main, web) = servers.split_once("<section aria-label=\"service web\">").unwrap();
    assert!(main.contains("value=\"server 1 blacklist 0\"") && !main.contains("value=\"service"), "{main}");
    assert!(web.contains("<h2>Service web</h2>") && web.contains("[2001:db8::1]:80"), "{web}");
    assert!(web.contains("value=\"service web server 1 blacklist 0\""), "{web}");
    let connections = page(View::Connections, Reach::Asks, &pen);
    assert!(
        connections.contains("203.0.113.7:50112") && connections.contains("203.0.113.9:1"),
        "{connections}"
    );
    let hostile = page(View::Servers, Reach::Servers, &FakePen::with_service("\"><script>"));
    assert!(!hostile.contains("<script>"), "{hostile}");
    if let Some(shapes) = checks::table_shapes(&connections) {
        assert_eq!(shapes.split_whitespace().count(), 2, "{shapes}");
    }
    [servers, connections, hostile].iter().for_each(|page| checks::assert_tidy(page, &TIDY_OPTIONS));
}
