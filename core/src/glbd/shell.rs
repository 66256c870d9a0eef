//! Words as a shell divides them, and no more of a shell: quotes, and variables by their names.

use pen_proto::addr::quoted;

/// What a shell would do with these is not done here.
const REFUSED: &str = "|&;<>()`*?[]{}~!";

/// Divides a command into words. `variable` gives the value of a variable; one that is not set is empty.
///
/// # Errors
/// A character that only a shell understands, or a quote without its end.
pub fn split(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    // `None` between words: a word may be empty.
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(inner) => word.push(inner),
                        None => return Err("want a ' at the end of what one begins".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') if matches!(rest.peek(), Some('"' | '\\' | '$' | '`')) => {
                            word.extend(rest.next())
                        }
                        Some('$') => word.push_str(&value(&mut rest, variable)?),
                        Some('`') => return Err(refused('`')),
                        Some(inner) => word.push(inner),
                        None => return Err("want a \" at the end of what one begins".to_owned()),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(rest.next()),
            '$' => {
                let value = value(&mut rest, variable)?;
                // Outside of quotes a value is divided as well.
                let mut parts = value.split_whitespace();
                if let Some(first) = parts.next() {
                    word.get_or_insert_default().push_str(first);
                }
                for part in parts {
                    words.extend(word.replace(part.to_owned()));
                }
            }
            character if REFUSED.contains(character) => return Err(refused(character)),
            character => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

fn refused(character: char) -> String {
    format!("{}: no shell reads this; quote it, or put it into a script", quoted(&character.to_string()))
}

/// What stands for `$NAME` or `${NAME}`; a lone `$` is itself.
fn value(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let is_inner = |character: &char| character.is_ascii_alphanumeric() || *character == '_';
    let is_braced = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(character) = rest.next_if(is_inner) {
        name.push(character);
    }
    if is_braced && (rest.next() != Some('}') || name.is_empty()) {
        return Err("want ${NAME}".to_owned());
    }
    match (name.is_empty(), rest.peek()) {
        (true, Some('(')) => Err(refused('(')),
        (true, _) => Ok("$".to_owned()),
        (false, _) => Ok(variable(&name).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        split(text, &|name| match name {
            "USER" => Some("root".to_owned()),
            "TWO" => Some("a  b".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn words_are_divided_as_a_shell_does_it() {
        for (text, expected) in [
            ("mysql.sh -utest  -ptest", &["mysql.sh", "-utest", "-ptest"][..]),
            ("'a b' \"c d\" e\\ f ''", &["a b", "c d", "e f", ""]),
            ("-u$USER \"-u$USER\" '-u$USER' ${USER}x $NONE", &["-uroot", "-uroot", "-u$USER", "rootx"]),
            ("$TWO \"$TWO\" x$TWO", &["a", "b", "a  b", "xa", "b"]),
            ("\"\\$USER \\\" \\n\" a#b # remark", &["$USER \" \\n", "a#b"]),
            ("costs$ $", &["costs$", "$"]),
            ("", &[]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn nothing_else_of_a_shell_is_understood() {
        for text in
            ["a | b", "a; b", "a && b", "a > b", "$(a)", "`a`", "\"`a`\"", "a*", "~/a", "\"$(a)\"", "{a,b}"]
        {
            assert!(words(text).unwrap_err().contains("no shell"), "{text}");
        }
        for text in ["'a", "\"a", "${USER", "${}"] {
            assert!(words(text).unwrap_err().starts_with("want "), "{text}");
        }
    }
}
