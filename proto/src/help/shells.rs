//! Completion for the shells of the system: bash, zsh and fish.
//!
//! What pen's options are stands in the table, so their script is complete in itself. What may follow `penctl ADDRESS`
//! is known to a running pen, so that script asks `penctl --complete`, with the line up to the cursor as one argument,
//! for a candidate on each line, behind a tabulator its explanation; [`FILES`] stands for names of files.

use super::{completions, explained, offered};
use crate::commands::{Arg, Complete, ROWS, Row};

/// What `penctl --complete` says where a file is to be named. No command and no name begins so.
pub const FILES: &str = "<file>";

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub const WORDS: &[&str] = &["bash", "zsh", "fish"];

    /// # Errors
    /// Another word; the text says which there are.
    pub fn parse(word: &str) -> Result<Shell, String> {
        match word {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => Err(format!("--completions: want bash, zsh or fish, got {}", crate::addr::quoted(word))),
        }
    }

    /// The script that completes the command line of pen.
    pub fn for_pen(self) -> String {
        match self {
            Shell::Bash => bash(),
            Shell::Zsh => zsh(),
            Shell::Fish => fish(),
        }
    }

    /// The script that completes the command line of penctl.
    pub fn for_penctl(self) -> String {
        let script = match self {
            Shell::Bash => BASH_PENCTL,
            Shell::Zsh => ZSH_PENCTL,
            Shell::Fish => FISH_PENCTL,
        };
        script.replace("FILES", FILES)
    }
}

/// The words that begin a command, each with what it does.
pub fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    offered().map(|row| (row.word, row.summary))
}

/// What the argument of an option is to a shell.
enum Wanted {
    Words(Vec<&'static str>),
    File,
    Directory,
    User,
    /// Nothing a shell could know.
    Other,
}

fn wanted(arg: &Arg) -> Wanted {
    match arg.complete {
        Complete::Words(words) => Wanted::Words(words.to_vec()),
        Complete::Path if arg.name == "DIRECTORY" => Wanted::Directory,
        Complete::Path => Wanted::File,
        Complete::Command => Wanted::Words(commands().map(|(word, _)| word).collect()),
        _ if arg.name == "USER" => Wanted::User,
        _ => Wanted::Other,
    }
}

/// Options that are worth offering; the others are understood, and without effect.
fn options() -> impl Iterator<Item = &'static Row> {
    let obsolete = |row: &&Row| row.group == crate::commands::Group::Obsolete;
    ROWS.iter().filter(|row| row.is_option()).filter(move |row| !obsolete(row))
}

/// `-b`, `--threads`: every way to write it.
fn spellings(row: &Row) -> Vec<String> {
    let letter = row.letter.map(|letter| format!("-{letter}"));
    letter.into_iter().chain(row.long.map(|long| format!("--{long}"))).collect()
}

fn bash() -> String {
    let mut cases = String::new();
    for row in options() {
        let Some(arg) = row.option_arg() else { continue };
        let action = match wanted(arg) {
            Wanted::Words(words) => format!("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", words.join(" ")),
            Wanted::File => "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\"))".into(),
            Wanted::Directory => "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$word\"))".into(),
            Wanted::User => "COMPREPLY=($(compgen -u -- \"$word\"))".into(),
            Wanted::Other => "COMPREPLY=()".into(),
        };
        cases.push_str(&format!("        {}) {action}; return ;;\n", spellings(row).join("|")));
    }
    let all: Vec<String> = options().flat_map(spellings).collect();
    format!(
        "# Completion of pen in bash, from its table of options: pen --completions bash\n\
         _pen() {{\n    \
             local IFS=$' \\t\\n' word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}\n    \
             case $before in\n{cases}    esac\n    \
             if [[ $word == -* ]]; then\n        \
                 COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n    \
             else\n        \
                 COMPREPLY=($(compgen -A hostname -- \"$word\"))\n    \
             fi\n\
         }}\n\
         complete -F _pen pen\n",
        all.join(" ")
    )
}

/// In single quotes and brackets.
fn zsh_text(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:")
        .replace('\'', "'\\''")
}

fn zsh() -> String {
    let mut text = String::from(
        "#compdef pen\n# Completion of pen in zsh, from its table of options: pen --completions zsh\n_arguments -s -S \\\n",
    );
    for row in options() {
        let rest = row.option_arg().map_or(String::new(), |arg| {
            let action = match wanted(arg) {
                Wanted::Words(words) => format!("({})", words.join(" ")),
                Wanted::File => "_files".into(),
                Wanted::Directory => "_files -/".into(),
                Wanted::User => "_users".into(),
                Wanted::Other => " ".into(),
            };
            format!(":{}:{action}", zsh_text(arg.name))
        });
        for spelling in spellings(row) {
            text.push_str(&format!("    '*{spelling}[{}]{rest}' \\\n", zsh_text(&explained(row))));
        }
    }
    text.push_str("    '*:address:_hosts'\n");
    text
}

/// In single quotes.
fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

fn fish() -> String {
    let mut text = String::from(
        "# Completion of pen in fish, from its table of options: pen --completions fish\n\
         complete -c pen -f -a '(__fish_print_hostnames)'\n",
    );
    for row in options() {
        let letter = row.letter.map(|letter| format!(" -s {letter}"));
        let long = row.long.map(|long| format!(" -l {long}"));
        let argument = row.option_arg().map(|arg| match wanted(arg) {
            Wanted::Words(words) => format!(" -x -a '{}'", words.join(" ")),
            Wanted::File => " -r -F".into(),
            Wanted::Directory => " -x -a '(__fish_complete_directories)'".into(),
            Wanted::User => " -x -a '(__fish_complete_users)'".into(),
            Wanted::Other => " -x".into(),
        });
        let parts: String = [letter, long, argument].into_iter().flatten().collect();
        text.push_str(&format!("complete -c pen{parts} -d '{}'\n", fish_text(&explained(row))));
    }
    text
}

// The line is passed on as it stands, without the program: bash divides words at colons too, which addresses have.
const BASH_PENCTL: &str = "\
# Completion of penctl in bash: penctl --completions bash
_penctl() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} candidates
    candidates=$(\"${COMP_WORDS[0]}\" --complete \"${line#*[[:space:]]}\" 2>/dev/null | cut -f 1)
    if [[ $candidates == 'FILES' ]]; then
        compopt -o filenames
        COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))
    else
        COMPREPLY=($candidates)
    fi
}
complete -F _penctl penctl
";

const ZSH_PENCTL: &str = "\
#compdef penctl
# Completion of penctl in zsh: penctl --completions zsh
local -a lines described
lines=(${(f)\"$(\"${words[1]}\" --complete \"${(j: :)${(@)words[2,CURRENT-1]}} $PREFIX\" 2>/dev/null)\"})
if [[ $lines[1] == 'FILES' ]]; then
    _files
else
    described=(${${lines//:/\\\\:}/$'\\t'/:})
    _describe 'word' described
fi
";

const FISH_PENCTL: &str = "\
# Completion of penctl in fish: penctl --completions fish
function __penctl_candidates
    set -l typed (string replace -r '^\\S+\\s+' '' -- (commandline -pc))
    set -l program (commandline -po)[1]
    set -l candidates ($program --complete \"$typed\" 2>/dev/null)
    if test \"$candidates[1]\" = 'FILES'
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $candidates
    end
end
complete -c penctl -f -a '(__penctl_candidates)'
";

/// The words that may stand at the end of `line`, with what each does where that is known.
pub fn described(line: &str) -> Vec<(super::Completion, &'static str)> {
    let summary = |completion: &super::Completion| match completion {
        super::Completion::Word(word) if !line.trim_start().contains([' ', '\t']) => {
            commands().find(|(command, _)| command == word).map_or("", |(_, summary)| summary)
        }
        _ => "",
    };
    completions(line).into_iter().map(|completion| (completion, summary(&completion))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_help_lists_is_completed_by_every_shell() {
        let (bash, zsh, fish) = (Shell::Bash.for_pen(), Shell::Zsh.for_pen(), Shell::Fish.for_pen());
        for row in options() {
            for spelling in spellings(row) {
                assert!(
                    bash.contains(&format!("{spelling} ")) || bash.contains(&format!("{spelling}'")),
                    "{spelling}"
                );
                assert!(zsh.contains(&format!("'*{spelling}[")), "{spelling}");
            }
            let word = row
                .letter
                .map(|letter| format!(" -s {letter} "))
                .or(row.long.map(|long| format!(" -l {long} ")));
            assert!(fish.contains(&word.unwrap()), "{}", row.word);
        }
        assert!(
            bash.contains("compgen -u") && zsh.contains("_users") && fish.contains("__fish_complete_users")
        );
    }

    #[test]
    fn only_three_shells_are_known() {
        for word in Shell::WORDS {
            assert!(Shell::parse(word).is_ok(), "{word}");
        }
        assert_eq!(Shell::parse("tcsh").unwrap_err(), "--completions: want bash, zsh or fish, got \"tcsh\"");
    }

    #[test]
    fn commands_are_described_and_their_arguments_are_not() {
        let (_, what) = described("blackl")[0];
        assert_eq!(what, crate::commands::row("blacklist").unwrap().summary);
        assert!(described("service web ").iter().all(|(_, what)| what.is_empty()));
    }
}
