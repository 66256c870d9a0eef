//! What a browser sends with a form: fields, and the command that they make.
//!
//! Owns the decoding and its limits. Pure; what a command may do is decided in `guard`.

/// The longest form: the longest command by far, and its token.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// More fields than any form of ours has.
const FIELDS_MAX: usize = 32;

/// Fields in the order in which they were sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `name=value&...`, as a query or in the body of a request.
    ///
    /// # Errors
    /// What is wrong with it, for the one who sent it.
    pub fn parse(text: &str) -> Result<Form, String> {
        if text.len() > FORM_BYTES_MAX {
            return Err(format!("want at most {FORM_BYTES_MAX} bytes"));
        }
        let mut fields = Vec::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            fields.push((decoded(name)?, decoded(value)?));
        }
        match fields.len() <= FIELDS_MAX {
            true => Ok(Form(fields)),
            false => Err(format!("want at most {FIELDS_MAX} fields")),
        }
    }

    /// The field of this name, empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The line that the form stands for: its `command`, then every field whose name begins with a colon and that was
    /// filled in, as `:max` and 10 become `max 10`. The name `:` alone adds the value only.
    ///
    /// # Errors
    /// What is wrong, for the one who sent it.
    pub fn command(&self) -> Result<String, String> {
        let mut line = self.get("command").trim().to_string();
        for (name, value) in &self.0 {
            let (Some(key), value) = (name.strip_prefix(':'), value.trim()) else { continue };
            if value.is_empty() {
                continue;
            }
            if key.chars().chain(value.chars()).any(char::is_whitespace) {
                return Err(format!("{key}: want one word"));
            }
            for word in [key, value].into_iter().filter(|word| !word.is_empty()) {
                line.push(' ');
                line.push_str(word);
            }
        }
        match line.contains(|c: char| c.is_control() && c != '\t') {
            true => Err("a command is one line".into()),
            false => Ok(line),
        }
    }
}

/// `+` is a blank, `%XX` a byte.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (Some(high), Some(low)) = (high, low) else {
                    return Err("a broken % in the form".into());
                };
                // Two digits make a byte.
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "the form is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_in_order() {
        let form = Form::parse("command=server+0&token=a%2Bb&%3amax=10&empty&x=%C3%A4%3D%26").unwrap();
        assert_eq!((form.get("command"), form.get("token"), form.get("x")), ("server 0", "a+b", "ä=&"));
        assert_eq!((form.get("empty"), form.get("missing")), ("", ""));
        assert_eq!(Form::parse(""), Ok(Form::default()));
    }

    #[test]
    fn a_form_makes_a_line() {
        for (text, line) in [
            ("command=servers", "servers"),
            ("command=server+2&:max=10&:hard=&:weight=+3+", "server 2 max 10 weight 3"),
            ("command=blacklist&:=30", "blacklist 30"),
            ("command=blacklist&:=", "blacklist"),
            ("command=+acl+1+deny+10.0.0.0%2F8+&token=x&view=settings", "acl 1 deny 10.0.0.0/8"),
            ("", ""),
        ] {
            assert_eq!(Form::parse(text).unwrap().command().as_deref(), Ok(line), "{text}");
        }
    }

    #[test]
    fn what_would_be_more_than_one_command_is_none() {
        for text in [
            "command=mode%0Aexit",
            "command=mode%0Dexit",
            "command=mode&:=1%0Aexit",
            "command=server&:max=1+address+x",
        ] {
            assert!(Form::parse(text).unwrap().command().is_err(), "{text}");
        }
    }

    #[test]
    fn a_form_has_limits() {
        let long = format!("command={}", "x".repeat(FORM_BYTES_MAX));
        let many = "a=b&".repeat(FIELDS_MAX + 1);
        for text in
            ["a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "a=%\u{e9}", "a=%4\u{e9}", "%\u{20ac}", &long, &many]
        {
            assert!(Form::parse(text).is_err(), "{text:.40}");
        }
        assert!(Form::parse(&"a=b&".repeat(FIELDS_MAX)).is_ok());
    }
}
