//! Completion in the shells themselves: their words for a line that is being typed.

use crate::common::backend::Backend;
use crate::common::pen::{Ended, Pen};
use crate::common::programs::{is_installed, ours, run};
use crate::common::skip_without;
use crate::common::tempdir::TempDir;
use std::fs;

/// Two named servers and a second service.
fn pen() -> (Pen, Vec<Backend>) {
    let servers = vec![Backend::named("A"), Backend::named("B")];
    let named = [format!("apple={}", servers[0]), format!("banana={}", servers[1])];
    let pen = Pen::before(named).start();
    pen.control("service add orchard");
    (pen, servers)
}

/// A folder with the scripts of both programs as this shell wants them, for the name that `name` makes of a program's.
fn scripts(shell: &str, name: impl Fn(&str) -> String) -> TempDir {
    let folder = TempDir::new();
    for (program, path) in [("pen", env!("CARGO_BIN_EXE_pen").into()), ("penctl", ours("penctl"))] {
        let said = run(path.to_str().unwrap(), &["--completions", shell], "");
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{program}");
        fs::write(folder.path().join(name(program)), said.stdout).unwrap();
    }
    folder
}

/// Has the shell carry out a script, our programs first in `PATH`. It may not wait for ever.
fn in_shell(words: &[&str]) -> Ended {
    let beside = ours("penctl");
    let path = format!("PATH={}:{}", beside.parent().unwrap().display(), std::env::var("PATH").unwrap());
    run("timeout", &[&["20", "env", path.as_str()], words].concat(), "")
}

/// For each line that is typed, a candidate that must come and one that must not.
fn cases(control: &str) -> Vec<(String, &'static str, &'static str)> {
    let penctl = |rest: &str| format!("penctl {control} {rest}");
    vec![
        ("pen --che".into(), "--check", "--help"),
        ("pen -f -O blackl".into(), "blacklist", "hash"),
        ("pen -u roo".into(), "root", "--check"),
        ("penctl --completions ".into(), "zsh", "tcsh"),
        (penctl("blackl"), "blacklist", "hash"),
        (penctl("server b"), "banana", "apple"),
        (penctl("service "), "orchard", "blacklist"),
        (penctl("service orchard no rou"), "roundrobin", "hash"),
    ]
}

fn check(shell: &str, line: &str, said: &Ended, wanted: &str, unwanted: &str) {
    let words: Vec<&str> = said.stdout.split_whitespace().collect();
    assert!(words.contains(&wanted) && !words.contains(&unwanted), "{shell}: {line:?}: {said:?}");
}

#[test]
fn bash_completes() {
    let scripts = scripts("bash", |program| program.into());
    let (pen, _servers) = pen();
    let control = pen.path("control").display().to_string();
    let folder = scripts.path().display();
    for (line, wanted, unwanted) in cases(&control) {
        let program = line.split(' ').next().unwrap();
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!(
            "source {folder}/{program}; COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({}) COMP_CWORD={}\n\
             $(complete -p {program} | sed 's/.*-F //; s/ .*//')\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.len(),
            words.join(" "),
            words.len() - 1
        );
        check("bash", &line, &in_shell(&["bash", "--norc", "-c", &script]), wanted, unwanted);
    }
}

#[test]
fn fish_completes() {
    if !is_installed("fish") {
        return skip_without("fish");
    }
    let scripts = scripts("fish", |program| program.into());
    let (pen, _servers) = pen();
    let folder = scripts.path().display().to_string();
    for (line, wanted, unwanted) in cases(&pen.path("control").display().to_string()) {
        let program = line.split(' ').next().unwrap();
        let script = format!("source {folder}/{program}; complete -C '{line}'");
        let home = format!("HOME={folder}");
        let said = in_shell(&["env", &home, "fish", "--no-config", "-c", &script]);
        check("fish", &line, &said, wanted, unwanted);
    }
}

/// In a terminal: each line is typed with a tabulator behind it, and printed as it then stands.
#[test]
fn zsh_completes() {
    if !is_installed("zsh") {
        return skip_without("zsh");
    }
    let scripts = scripts("zsh", |program| format!("_{program}"));
    let (pen, _servers) = pen();
    let folder = scripts.path().display();
    // The only candidate takes the place of what was typed; of several, none does.
    let cases = cases(&pen.path("control").display().to_string());
    let only = cases.iter().filter(|(line, ..)| !line.ends_with(' '));
    for (line, wanted, _) in only {
        let completed = format!("{}{wanted}", &line[..=line.rfind(' ').unwrap()]);
        let script = format!(
            "zmodload zsh/zpty; zpty z zsh -f -i\n\
             zpty -w z 'fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {folder}/dump; print REA''DY'\n\
             zpty -r -m z said '*READY*'\n\
             zpty -n -w z $'{line}\\t\\C-aprint -r said: '$'\\n'\n\
             zpty -r -m z said $'*\\nsaid: {completed}*' && print -r -- completed {wanted}\n\
             zpty -d z"
        );
        check("zsh", line, &in_shell(&["zsh", "-f", "-c", &script]), wanted, "-");
    }
}

#[test]
fn other_shells_are_refused_by_name() {
    for program in [env!("CARGO_BIN_EXE_pen"), ours("penctl").to_str().unwrap()] {
        let said = run(program, &["--completions", "tcsh"], "");
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.stderr.contains("want bash, zsh or fish, got \"tcsh\""), "{said:?}");
    }
}
