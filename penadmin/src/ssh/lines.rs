//! For which pen a line is. Pure.

use pen_proto::addr::quoted;

/// What somebody wants with a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Say this to the pen of this number.
    Say {
        pen: usize,
        line: &'a str,
    },
    /// Go over to the pen of this number: its name with nothing behind it.
    Go(usize),
    /// List the pens.
    Pens,
    /// Leave.
    Quit,
    Nothing,
}

/// Reads a line: `[PEN:] COMMAND`, `PEN:`, `pens` or `quit`. `pens` are the names and addresses of all; `current` is the
/// one for lines without a name, which a single pen needs not be said.
///
/// # Errors
/// It is for no pen, or one must be named.
pub fn read<'a>(line: &'a str, pens: &[(&str, &str)], current: Option<usize>) -> Result<Wish<'a>, String> {
    let line = line.trim();
    match line {
        "" => return Ok(Wish::Nothing),
        "pens" => return Ok(Wish::Pens),
        "quit" => return Ok(Wish::Quit),
        _ => {}
    }
    // A name may have colons in it, as an address has.
    let behind = |name: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| rest.trim_start())
    };
    for (pen, (name, address)) in pens.iter().enumerate() {
        match behind(name).or_else(|| behind(address)) {
            Some("") => return Ok(Wish::Go(pen)),
            Some(line) => return Ok(Wish::Say { pen, line }),
            None => {}
        }
    }
    let first = line.split_whitespace().next().unwrap_or_default();
    if let Some(name) = first.strip_suffix(':') {
        return Err(format!("no pen {}", quoted(name)));
    }
    match (current, pens) {
        (Some(pen), _) => Ok(Wish::Say { pen, line }),
        (None, [_]) => Ok(Wish::Say { pen: 0, line }),
        (None, [(name, _), ..]) => {
            Err(format!("which pen? Say it first, as in {name}: servers; pens lists them"))
        }
        (None, []) => Err("no pen".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: (&str, &str) = ("shop", "/run/shop/control");
    const MAIL: (&str, &str) = ("[::1]:8888", "[::1]:8888");

    #[test]
    fn a_line_is_for_the_pen_that_it_names() {
        let both = [SHOP, MAIL];
        for (line, wish) in [
            ("shop: servers", Wish::Say { pen: 0, line: "servers" }),
            ("/run/shop/control: servers", Wish::Say { pen: 0, line: "servers" }),
            (" [::1]:8888:  server 1 weight 3 ", Wish::Say { pen: 1, line: "server 1 weight 3" }),
            ("shop:", Wish::Go(0)),
            ("pens", Wish::Pens),
            ("quit", Wish::Quit),
            ("  ", Wish::Nothing),
        ] {
            assert_eq!(read(line, &both, None), Ok(wish), "{line}");
        }
        assert_eq!(read("servers", &both, Some(1)), Ok(Wish::Say { pen: 1, line: "servers" }));
        assert_eq!(read("servers", &[SHOP], None), Ok(Wish::Say { pen: 0, line: "servers" }));
    }

    #[test]
    fn one_that_is_for_none_says_why() {
        assert!(read("servers", &[SHOP, MAIL], None).unwrap_err().starts_with("which pen?"));
        assert_eq!(read("shopp: servers", &[SHOP], None), Err("no pen \"shopp\"".into()));
        let address = read("10.0.0.1:80:2", &[SHOP], None);
        assert_eq!(address, Ok(Wish::Say { pen: 0, line: "10.0.0.1:80:2" }));
    }
}
