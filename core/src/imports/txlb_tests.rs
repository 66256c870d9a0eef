//! Unit tests of `txlb`.

use super::*;

/// The sample that comes with txLoadBalancer, shortened.
const SAMPLE: &str = r#"<?xml version="1.0"?>
<!-- a comment before the root -->
<!DOCTYPE config SYSTEM "config.dtd">
<config>
  <service name="twisted lorien">
    <note>whatever</note>
    <listen ip="*:8080"/>
    <listen ip="127.0.0.1:8081"/>
    <group name="servers1" scheduler="weightr" enable="Yes">
      <host name="host1" ip="10.0.0.1:7001" weight="1"/>
      <host ip="www.example.test:7002" weight="5"/>
    </group>
    <group name="servers2" scheduler="leastc">
      <host name="host1" ip="[::1]:7001"/>
    </group>
  </service>
  <admin>
    <web listen="*:7000" enable="true" secure="true" refresh="10"/>
    <ssh listen="localhost:2222" enable="true"/>
    <user name="admin" password="xxnq2mU0OJtn6" access="full"/>
    <user name="guest" password="xxnq2mU0OJtn6" access="readonly"/>
  </admin>
  <manager>
    <hostCheck interval="10" enable="true"/>
    <configCheck interval="10.5" enable="on"/>
    <heartbeat interval="20" enable="false"/>
  </manager>
</config>
"#;

fn said(notes: &[Note]) -> Vec<String> {
    notes.iter().map(Note::to_string).collect()
}

#[test]
fn the_sample_becomes_services_groups_and_checks() {
    let imported = import(SAMPLE).unwrap();
    assert_eq!(
        imported.lines,
        [
            "autosave 11",
            "service twisted-lorien",
            "roundrobin",
            "listen 0.0.0.0:8080",
            "listen add 127.0.0.1:8081",
            "server 0 name host1 address 10.0.0.1 port 7001 group servers1 weight 1",
            "server 1 name host.1 address www.example.test port 7002 group servers1 weight 5",
            "server 2 name host1-2 address ::1 port 7001 group servers2",
            "group servers1 policy random",
            "group servers2 policy least_conn",
            "group servers1 use",
            "check connect",
            "check_interval 2.5",
            "check_timeout 5",
            "check_rise 4",
        ]
    );
    assert_eq!(
        said(&imported.notes),
        [
            "5:3: <service>: \"twisted lorien\" is called twisted-lorien here",
            "14:7: <host>: \"host1\" is called host1-2 here",
            "18:5: <web>: the page is penadmin's: penadmin --listen 0.0.0.0:7000 --tls-cert FILE --tls-key FILE",
            "19:5: <ssh>: the shell is penadmin's, with keys alone: penadmin --ssh localhost:2222 --host-key FILE",
            "17:3: <admin>: penadmin import CONFIG.XML FILE makes a users file; passwords must be set anew",
            "hostCheck: here servers that are well are checked, too, not only those that failed",
        ]
    );
}

#[test]
fn the_old_form_means_the_same() {
    let old = r#"<pdconfig>
  <logging file="/var/log/pydir.log"/>
  <service name="web">
    <listen ip="127.0.0.1:8000"/>
    <group name="main" scheduler="leastconns"><client name="a" ip="10.0.0.1:80"/></group>
    <group name="spare" scheduler="roundrobin"><host name="b" ip="10.0.0.2:80"/></group>
    <enable group="spare"/>
  </service>
  <admin listen="127.0.0.1:7001"><user name="ann" password="x" access="full"/></admin>
</pdconfig>"#;
    let imported = import(old).unwrap();
    assert_eq!(
        imported.lines,
        [
            "messages /var/log/pydir.log",
            "service web",
            "roundrobin",
            "listen 127.0.0.1:8000",
            "server 0 name a address 10.0.0.1 port 80 group main",
            "server 1 name b address 10.0.0.2 port 80 group spare",
            "group main policy least_conn",
            "group spare policy round_robin",
            "group spare use",
        ]
    );
    assert!(said(&imported.notes).iter().any(|note| note.starts_with("hostCheck is off: ")));
}

/// With this between the tags of the only service, the first group being enabled.
fn service(inside: &str) -> String {
    format!("<config>\n<service name=\"s\"><listen ip=\"*:80\"/>\n{inside}\n</service></config>")
}

fn group(attributes: &str, inside: &str) -> String {
    service(&format!("<group name=\"g\" enable=\"yes\" {attributes}>{inside}</group>"))
}

#[test]
fn what_is_wrong_is_named_with_line_and_column() {
    let host = "<host ip=\"10.0.0.1:80\"/>";
    for (text, expected) in [
        ("<config/>".to_owned(), "1:1: <config>: want a <service>"),
        (
            "<other/>".to_owned(),
            "1:1: want <config> of txLoadBalancer or <pdconfig> of PythonDirector, got <other>",
        ),
        (
            "<config><else/></config>".to_owned(),
            "1:9: <else>: want <service>, <admin>, <manager>, <logging> or <control>",
        ),
        (group("scheduler=\"sticky\"", host), "3:1: <group>: scheduler: want one of rand, roundr, "),
        (group("", host), "3:1: <group>: want scheduler=\"...\", one of rand, "),
        (group("scheduler=\"rand\"", ""), "3:1: <group>: want a <host>"),
        (
            group("scheduler=\"rand\"", "<host ip=\"10.0.0.1\"/>"),
            "3:47: <host>: ip: want HOST:PORT, got \"10.0.0.1\"",
        ),
        (group("scheduler=\"rand\"", "<host ip=\"::1\"/>"), "3:47: <host>: ip: want HOST:PORT, got \"::1\""),
        (
            group("scheduler=\"rand\"", "<host ip=\"a:0\"/>"),
            "3:47: <host>: ip: want a port from 1 to 65535, got \"a:0\"",
        ),
        (
            group("scheduler=\"weightr\"", "<host ip=\"a:1\" weight=\"-1\"/>"),
            "3:50: <host>: weight: want 0 to 65535, got \"-1\"",
        ),
        (group("scheduler=\"rand\"", "<server/>"), "3:47: <server>: want <host>"),
        (
            service("<group name=\"g\" scheduler=\"rand\"><host ip=\"a:1\"/></group>"),
            "2:1: <service>: want a <group> with enable",
        ),
        (service("<enable group=\"x\"/>"), "<enable>: there is no group \"x\""),
        ("<config><service/></config>".to_owned(), "1:9: <service>: want name=\"...\""),
        (
            "<config><manager><hostCheck interval=\"x\"/></manager></config>".to_owned(),
            "1:18: <hostCheck>: interval: want 1 to 86400",
        ),
        (
            "<config><admin><user name=\"a\" access=\"root\"/></admin></config>".to_owned(),
            "1:16: <user>: access: want full or readonly, got \"root\"",
        ),
        ("<config><service></config>".to_owned(), "1:"),
    ] {
        let errors = said(&import(&text).unwrap_err());
        assert!(errors.iter().any(|error| error.contains(expected)), "{text}: {errors:?}");
    }
}

#[test]
fn what_is_odd_is_told() {
    let host = "<host ip=\"10.0.0.1:80\"/>";
    let twice = service(&format!(
        "<group name=\"a\" scheduler=\"rand\" enable=\"yes\">{host}</group>\
         <group name=\"b\" scheduler=\"rand\" enable=\"1\">{host}</group>"
    ));
    let imported = import(&twice).unwrap();
    assert!(imported.lines.contains(&"group b use".to_owned()));
    assert!(
        said(&imported.notes)
            .iter()
            .any(|note| note.ends_with("two groups are enabled: \"b\" counts, not \"a\""))
    );
    let odd = service(&format!(
        "<group name=\"a\" scheduler=\"rand\" enable=\"y\">{host}</group>\
         <group name=\"b\" scheduler=\"lweighted\" enable=\"1\"><host ip=\"a:1\" weight=\"2\"/></group>"
    ));
    let imported = import(&odd).unwrap();
    assert!(
        said(&imported.notes)[0]
            .contains("enable: want yes, 1, on, enable, true, got \"y\", which counts as no")
    );
    assert!(imported.lines.iter().any(|line| line.ends_with("group b weight 2")));
}

#[test]
fn users_come_without_their_passwords() {
    let user =
        |name: &str, access, line| User { name: name.to_owned(), access, place: Place { line, column: 5 } };
    let wanted = [user("admin", Access::Full, 20), user("guest", Access::ReadOnly, 21)];
    assert_eq!(users(SAMPLE).unwrap(), wanted);
    assert_eq!(users("<config/>").unwrap(), [], "an administration is not needed");
    let twice = "<config><admin><user name=\"a\" access=\"full\"/><user name=\"a\" access=\"full\"/></admin></config>";
    assert_eq!(said(&users(twice).unwrap_err()), ["1:46: <user>: there is a \"a\" already"]);
}

#[test]
fn its_files_are_known() {
    assert!(is_one(SAMPLE) && is_one("\u{feff} <config/>") && !is_one("listen 80"));
}
