//! A real Prometheus before pen's metrics, and what `contrib/` has for it: the alert rules, and the dashboard of Grafana,
//! which must ask for what is there.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::run;
use crate::common::real::Server;
use crate::common::tempdir::TempDir;
use crate::common::wait::eventually;
use crate::programs::found;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const CONTRIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib");

/// Has Prometheus evaluate an expression: its answer as JSON.
fn query(prometheus: &Server, expression: &str) -> Value {
    let url = format!("http://{}/api/v1/query", prometheus.address);
    let data = format!("query={expression}");
    let ended = run("curl", &["-s", "--max-time", "30", "--data-urlencode", &data, &url], "");
    serde_json::from_str(&ended.stdout).unwrap_or(Value::Null)
}

/// The value of an expression that has one.
fn value(prometheus: &Server, expression: &str) -> Option<String> {
    let answer = query(prometheus, expression);
    Some(answer["data"]["result"][0]["value"][1].as_str()?.to_string())
}

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("pen_") || word.starts_with("process_"));
    named.map(String::from).collect()
}

fn dashboard_expressions() -> Vec<String> {
    let text = fs::read_to_string(format!("{CONTRIB}/grafana/pen.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asked = variables.filter_map(|variable| variable["query"]["query"].as_str());
    let asked = asked.map(|query| query.trim_start_matches("label_values(").split(',').next().unwrap());
    expressions.chain(asked).map(String::from).collect()
}

fn rules() -> String {
    fs::read_to_string(format!("{CONTRIB}/prometheus/pen.rules.yml")).unwrap()
}

#[test]
fn the_alert_rules_are_right_and_ring_when_they_should() {
    if !found(&["promtool"]) {
        return;
    }
    for words in [["check", "rules", "pen.rules.yml"], ["test", "rules", "pen.test.yml"]] {
        let path = format!("{CONTRIB}/prometheus/{}", words[2]);
        let ended = run("promtool", &[words[0], words[1], &path], "");
        assert_eq!(ended.code, Some(0), "{words:?}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn prometheus_scrapes_pen_and_rules_and_dashboard_ask_for_what_is_there() {
    if !found(&["prometheus", "promtool", "curl"]) {
        return;
    }
    let [server, copy] = ["A", "B"].map(Backend::named);
    let (metrics, port) = (free_port(), free_port());
    let start = Pen::before([&server, &copy]).command(format!("metrics_listen 127.0.0.1:{metrics}"));
    let pen = start.command("server 1 role clone").start();
    assert_eq!(pen.asks(3), "AAA");
    let page = run("curl", &["-s", &format!("http://127.0.0.1:{metrics}/metrics")], "").stdout;
    let checked = run("promtool", &["check", "metrics"], &page);
    assert_eq!((checked.code, checked.stdout.as_str(), checked.stderr.as_str()), (Some(0), "", ""));

    let (mut told, asked) = (names(&page), names(&rules()));
    told.insert("pen_up".into()); // of webstats
    let asked = asked.into_iter().chain(dashboard_expressions().into_iter().flat_map(|text| names(&text)));
    let asked: BTreeSet<String> = asked.collect();
    assert!(asked.len() > 20, "{asked:?}");
    assert_eq!(asked.difference(&told).collect::<Vec<_>>(), [] as [&String; 0]);

    let dir = TempDir::new();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{CONTRIB}/prometheus/pen.rules.yml]\n\
         scrape_configs:\n- job_name: pen\n  static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]\n"
    );
    dir.file("prometheus.yml", &config);
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let words = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
    let prometheus = Server::on_port(dir, port, "prometheus", &words);
    let accepted = || value(&prometheus, "pen_connections_accepted_total");
    eventually("a scrape", accepted, |value| value.as_deref() == Some("3"));
    assert_eq!(value(&prometheus, "up{job=\"pen\"}").as_deref(), Some("1"));
    assert_eq!(value(&prometheus, "pen_server_up").as_deref(), Some("1"));
    for expression in dashboard_expressions() {
        let plain =
            expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$service", ".*");
        let answer = query(&prometheus, &plain);
        assert_eq!(answer["status"], "success", "{plain}: {answer}");
    }
    pen.control("server 0 blacklist 3600");
    let pending = "count(ALERTS{alertname=\"PenNoServer\"})";
    eventually(
        "an alert that counts its time",
        || value(&prometheus, pending),
        |value| value.as_deref() == Some("1"),
    );
}
