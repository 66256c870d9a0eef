//! Unit tests of `octopus`.

use super::*;

const HEAD: &str = "log_file=/l\nshm_run_dir=/r\n";

fn imported(text: &str) -> Imported {
    import(&format!("{HEAD}{text}")).unwrap()
}

/// The lines, without those that every file has.
fn lines(text: &str) -> String {
    let common = imported("").lines;
    let own = imported(text).lines.into_iter().filter(|line| !common.contains(line));
    own.collect::<Vec<_>>().join("; ")
}

/// The notes about lines, counted from the first behind the head.
fn notes(text: &str) -> Vec<String> {
    let skipped = HEAD.lines().count();
    let about_lines = imported(text).notes.into_iter().filter(|note| note.place.line > 0);
    about_lines.map(|note| format!("{} {}", note.place.line - skipped, note.text)).collect()
}

fn errors(text: &str) -> Vec<String> {
    import(text).unwrap_err().iter().map(Note::to_string).collect()
}

#[test]
fn every_directive_has_its_command() {
    let file = "# all of them\nbinding_ip = 10.0.0.1\nbinding_port=8080 # a remark\nmember_outbound_ip=10.0.0.2\n\
                clone_outbound_ip=10.0.0.3\nalgorithm=HASH\nclone_mode=enabled\nsession_weight=0.2\n\
                hash_rebalance_interval=60\nhash_rebalance_threshold=20\nhash_rebalance_size=10\n\
                overload_mode=STRICT\ndefault_maxc=1000\ndefault_maxl=8.0\nshm_run_dir=/run/o/\nshm_perms=640\n\
                fd_limit=0\nsession_limit=900\nlog_file=/var/log/o.log\ndebug_level=4\nuse_syslog=0\n\
                monitor_interval=10\nconnect_timeout=2\nsnmp_enable=on\nsnmp_community_pw=secret\n\
                [web 1]\nip=10.1.0.1\n[/]\n\
                [copy]\nip=10.1.0.2\nport=81\nmaxc=7\nmaxl=2\nclone=true\nstandby=true\nstatus=disabled\n[/]\n";
    let Imported { lines, notes, control } = import(file).unwrap();
    assert_eq!(control.as_deref(), Some("/run/o/octopus-1.14-10.0.0.1-8080"));
    assert_eq!(
        lines,
        [
            "listen 10.0.0.1:8080",
            "roundrobin",
            "policy uri_hash",
            "run_dir /run/o",
            "control_mode 660",
            "conn_max 900",
            "messages /var/log/o.log",
            "debug 2",
            "check connect",
            "check_interval 10",
            "check_timeout 2",
            "load snmp v1 secret",
            "session_weight 0.2",
            "overload strict",
            "rebalance_interval 60",
            "rebalance_threshold 20",
            "rebalance_size 10",
            "clone_percent 100",
            "server 0 name web-1 address 10.1.0.1 port 80 max 1000 maxload 8 source 10.0.0.2",
            "server 1 name copy address 10.1.0.2 port 81 max 7 role clone standby yes maxload 2 source 10.0.0.3",
            "server 1 disable",
        ]
    );
    assert_eq!(notes.iter().map(Note::to_string).collect::<Vec<_>>(), ["26: \"web 1\" is called web-1 here"]);
}

#[test]
fn what_the_file_does_not_say_is_octopuss_default() {
    assert_eq!(
        imported("[a]\nip=10.0.0.1\n[/]").lines,
        [
            "listen 0.0.0.0:1080",
            "roundrobin",
            "policy least_conn",
            "run_dir /r",
            "control_mode 666",
            "messages /l",
            "debug 0",
            "check connect",
            "check_interval 5",
            "check_timeout 5",
            "server 0 name a address 10.0.0.1 port 80 max 500",
        ]
    );
}

#[test]
fn words_and_their_quirks_are_told_with_their_lines() {
    let block = |line: &str| format!("[a]\nip=10.0.0.1\n{line}\n[/]");
    for (text, expected) in [
        (
            "monitor_intervall=9",
            "1 \"monitor_intervall\": Octopus goes by the beginning and takes it for monitor_interval",
        ),
        ("algorythm=LC", "1 \"algorythm\": want one of binding_ip, "),
        ("ip=10.0.0.1", "1 \"ip\": it belongs in a [NAME] block; Octopus ignores the line"),
        ("just words", "1 want NAME=VALUE, got \"just words\"; Octopus ignores the line"),
        ("session_limit=5 = 6", "1 session_limit: the value is \"5\"; Octopus ignores \"= 6\""),
        ("use_syslog=1", "1 use_syslog: messages go to one place"),
        ("fd_limit=10000", "1 fd_limit: pen takes as many descriptors"),
        ("[/]", "1 [/] ends no block"),
        (
            &block("clone=yes"),
            "3 clone: want true or false, got \"yes\"; Octopus ignores the line, the server is a member, which",
        ),
        (
            &block("status=off"),
            "3 status: want enabled or disabled, got \"off\"; Octopus ignores the line, the server is enabled",
        ),
        (
            &block("standby=1"),
            "3 standby: want true or false, got \"1\"; Octopus ignores the line, the server is no standby",
        ),
        (
            &block("standby=true\nclone=false"),
            "4 clone=false: behind standby=true it makes the server no standby",
        ),
        (&block("binding_port=1"), "3 \"binding_port\": it belongs outside of [NAME] blocks"),
        (&block("maxc=0"), "1 a: maxc=0 gives it no session in Octopus: it is disabled here"),
        (&format!("{}\ndefault_maxc=9", block("")), "5 default_maxc: holds for the blocks below it"),
        ("[a]\nip=10.0.0.1\n[b]\nip=10.0.0.2\n[/]", "1 a: no [/] ends the block; Octopus has no such server"),
        ("[a]\nip=10.0.0.1\n", "1 a: no [/] ends the block; Octopus has no such server"),
    ] {
        let notes = notes(text);
        assert!(notes.iter().any(|note| note.starts_with(expected)), "{text}: {notes:?}");
    }
    assert!(notes("[a]\nip=10.0.0.1 # one\nport = 81\n[/]\n\n# end").is_empty());
}

#[test]
fn the_file_means_what_it_means_to_octopus() {
    assert!(lines("monitor_intervall=9").contains("check_interval 9"));
    assert!(!lines("[a]\nip=10.0.0.1\nstandby=true\nclone=false\n[/]").contains("standby"));
    assert!(
        lines("[a]\nip=10.0.0.1\nclone=yes\n[/]")
            .ends_with("server 0 name a address 10.0.0.1 port 80 max 500")
    );
    assert_eq!(
        lines("[a]\nip=10.0.0.1\n[b]\nip=10.0.0.2\n[/]"),
        "server 0 name b address 10.0.0.2 port 80 max 500"
    );
    let defaults = "[a]\nip=10.0.0.1\n[/]\ndefault_maxc=9\n[b]\nip=10.0.0.2\n[/]";
    assert!(lines(defaults).contains("port 80 max 500; server 1 name b address 10.0.0.2 port 80 max 9"));
}

#[test]
fn what_ends_octopus_is_an_error_with_its_line() {
    for (text, expected) in [
        ("\nbinding_ip=web.test", "2: binding_ip: want an IPv4 address, got \"web.test\""),
        ("binding_port=0", "1: binding_port: want 1 to 65535, got \"0\""),
        ("algorithm=hash", "1: algorithm: want LC or LL or RR or HASH or STATIC, got \"hash\""),
        ("clone_mode=Enabled", "1: clone_mode: want enabled or disabled, got \"Enabled\""),
        ("shm_perms=999", "1: shm_perms: want three octal digits, got \"999\""),
        ("connect_timeout=0", "1: connect_timeout: want 1 to 3600, got \"0\""),
        ("session_weight=-1", "1: session_weight: want a number, 0 or more, got \"-1\""),
        ("[a]\nport=http\n[/]", "2: port: want 1 to 65535, got \"http\""),
        ("[a]\n[/]", "1: a: want ip=ADDRESS in the block"),
    ] {
        assert!(errors(text).iter().any(|error| error == expected), "{text}: {:?}", errors(text));
    }
    assert_eq!(errors("binding_port=0\nalgorithm=x").len(), 2, "all at once");
}

#[test]
fn who_may_connect_is_who_might_look() {
    for (perms, mode) in [("600", "600"), ("644", "666"), ("640", "660"), ("664", "666"), ("400", "600")] {
        assert!(
            imported(&format!("shm_perms={perms}")).lines.contains(&format!("control_mode {mode}")),
            "{perms}"
        );
    }
    let told = imported("shm_perms=666").notes;
    assert_eq!(told.iter().filter(|note| note.text.contains("control_group")).count(), 2);
}

#[test]
fn rebalancing_is_for_hash_and_never_more_often_than_the_monitor() {
    assert_eq!(lines("algorithm=STATIC\nhash_rebalance_interval=9"), "policy uri_static");
    assert!(lines("algorithm=HASH\nhash_rebalance_size=0").ends_with("; rebalance_interval 0"));
    assert!(lines("algorithm=HASH\nhash_rebalance_interval=1").contains("; rebalance_interval 5; "));
}

#[test]
fn its_files_are_known() {
    assert!(is_one("# x\nbinding_port=80\n") && is_one("[web]\n[/]"));
    assert!(!is_one("listen 80\nserver 0 address 10.0.0.1\n") && !is_one("LISTEN_ADDR=80\n"));
}
