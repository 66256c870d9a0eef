//! The JSON log as others read it: its schema by a validator, the recipes of docs/logs.md by jq.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::programs::{command, run};
use crate::common::skip::skip_outside_ci;
use crate::common::wait::eventually;
use crate::programs::{found, succeed};
use pen_proto::status::CloseReason;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Says, for each line of standard input, whether it is as the schema wants it.
const VALIDATE: &str = "
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for line in sys.stdin:
    trouble = next(validator.iter_errors(json.loads(line)), None)
    print('good' if trouble is None else trouble.message)
";

fn schema() -> String {
    format!("{ROOT}/docs/log.schema.json")
}

fn judged(lines: &str) -> Vec<String> {
    let ended = run("python3", &["-c", VALIDATE, &schema()], lines);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{lines}");
    ended.stdout.lines().map(String::from).collect()
}

/// A pen that had clients of every kind, and the lines that it wrote about them.
fn lines() -> (Pen, String) {
    let (server, dead) = (Backend::named("A"), Backend::refusing("B"));
    let start = Pen::before([&server]).options("-l pen.log").command("log_format json");
    let pen = start.start();
    let service = |line: String| assert_eq!(pen.control(&line), "", "{line}");
    let path = pen.path("web.sock").display().to_string();
    service("service add web".into());
    service(format!("service web server 0 address 127.0.0.1 port {}", dead.port()));
    pen.control(&format!("service web listen {path}"));
    pen.control("service web log_format json");
    pen.control("service web log pen.log");
    for visit in 0..20 {
        assert_eq!(pen.ask_from(&format!("127.0.4.{visit}")), "A");
    }
    pen.connect().reset();
    drop(std::os::unix::net::UnixStream::connect(&path).unwrap());
    pen.control("acl 1 deny 127.0.4.0/24");
    pen.control("client_acl 1");
    assert_eq!(pen.ask_from("127.0.4.1"), "-");
    let complete = |text: &String| ["finished", "no_server", "denied"].iter().all(|word| text.contains(word));
    let text =
        eventually("the lines", || pen.text("pen.log"), |text| complete(text) && text.lines().count() > 22);
    (pen, text)
}

#[test]
fn every_line_is_as_the_schema_says_and_the_recipes_read_them() {
    if !found(&["python3", "jq"]) {
        return;
    }
    if run("python3", &["-c", "import jsonschema"], "").code != Some(0) {
        return skip_outside_ci("not installed: python3-jsonschema");
    }
    let (pen, text) = lines();
    assert!(judged(&text).iter().all(|verdict| verdict == "good"), "{:?}", judged(&text));
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    for (field, wrong) in [
        ("reason", Value::from("bored")),
        ("time", Value::from("yesterday")),
        ("client_port", Value::from(70_000)),
        ("server", Value::Null),
        ("service", Value::Null),
        ("up_bytes", Value::from("many")),
    ] {
        let mut line = first.clone();
        line[field] = wrong;
        assert_ne!(judged(&line.to_string()), ["good"], "{line}");
    }
    let page = fs::read_to_string(Path::new(ROOT).join("docs/logs.md")).unwrap();
    let recipes = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let recipes: Vec<_> = recipes.filter(|block| block.starts_with("jq ")).collect();
    assert!(recipes.len() >= 5, "{recipes:?}");
    for recipe in recipes {
        let script = format!("set -e; {recipe}");
        let output = succeed(command("sh").args(["-c", &script]).current_dir(pen.path("")));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.trim().is_empty() && output.stderr.is_empty(), "{recipe}: {said}");
    }
}

#[test]
fn the_reasons_of_the_documents_are_those_of_the_program() {
    let words: BTreeSet<&str> = CloseReason::ALL.into_iter().map(CloseReason::as_str).collect();
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema()).unwrap()).unwrap();
    let listed = schema["properties"]["reason"]["enum"].as_array().unwrap();
    assert_eq!(listed.iter().map(|word| word.as_str().unwrap()).collect::<BTreeSet<_>>(), words);
    let page = fs::read_to_string(Path::new(ROOT).join("docs/logs.md")).unwrap();
    let table = page.split("| `reason` | The connection ended because |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `"));
    let told: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), words);
    let refusals: Vec<_> = CloseReason::ALL.into_iter().filter(|reason| reason.is_refusal()).collect();
    let sentence =
        page.split("\n\n").find(|paragraph| paragraph.contains("pen refused the client.")).unwrap();
    let sentence = sentence.split(" mean that").next().unwrap();
    assert!(refusals.iter().all(|reason| sentence.contains(&format!("`{}`", reason.as_str()))), "{sentence}");
    assert_eq!(sentence.matches('`').count(), 2 * refusals.len(), "{sentence}");
}
