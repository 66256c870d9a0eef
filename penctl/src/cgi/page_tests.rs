//! Tests of the documents: well-formed, escaped, without anything that runs or is loaded, and without a button for those
//! who may not press it.

use super::*;
use crate::views::tests::{FakePen, hostile};
use std::io::Write;
use std::process::{Command, Stdio};

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

/// Runs a checker on a page; `None` when it is not installed.
fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{program}: {said}");
    Some(said)
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
        assert!(!page.contains(|c: char| c != '\n' && pen::escape::is_dangerous(c)));
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

/// A stale hash in the policy would leave the page bare.
#[test]
fn the_policy_admits_the_style() {
    let script = "import base64,hashlib,sys\n\
                  digest = hashlib.sha256(sys.stdin.buffer.read()).digest()\n\
                  print(base64.b64encode(digest).decode(), end='')";
    if let Some(hash) = run("python3", &["-c", script], OWN_STYLE) {
        assert_eq!(hash, OWN_STYLE_SHA256, "put the left one into OWN_STYLE_SHA256");
    }
    assert!(policy().contains(OWN_STYLE_SHA256));
}

#[test]
fn a_parser_finds_the_elements_in_balance() {
    for page in pages() {
        run("python3", &["-c", include_str!("../../../tests/check_page.py")], &page);
    }
}

#[test]
fn tidy_has_no_complaint() {
    // It is older than aria-current.
    let arguments = ["-q", "-e", "--show-info", "no", "--warn-proprietary-attributes", "no"];
    for page in pages() {
        run("tidy", &arguments, &page);
    }
}
