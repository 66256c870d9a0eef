//! Who may do what: how far a visitor reaches, and whether what was sent is what the visitor meant to send.
//!
//! Owns the token, the cookie that it is bound to, and the comparison of origins. A page of somebody else can make a browser
//! send a form here, with the visitor's password; it can neither read the token out of our page, nor set our cookie, nor say
//! that it is our page. Pure but for [`new_token`].

use pen_proto::commands::Reach;
use std::fs::File;
use std::io::{self, Read};

/// Name of the cookie.
const COOKIE: &str = "penctl_token";
const TOKEN_BYTES: usize = 32;

/// What the web server says about a request, as far as it matters here. Everything that begins with a capital letter in
/// CGI's `HTTP_...` was written by the browser, or by somebody who pretends to be one.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// `REMOTE_USER`: whom the web server has made sure of. Empty for nobody.
    pub user: String,
    /// `REMOTE_ADDR`.
    pub address: String,
    /// `HTTP_HOST`: the name under which the browser found us.
    pub host: String,
    /// `HTTP_ORIGIN`, or else `HTTP_REFERER`: where the form was that was sent.
    pub origin: String,
    /// `HTTP_SEC_FETCH_SITE`.
    pub fetch_site: String,
    /// `HTTP_COOKIE`.
    pub cookies: String,
}

impl Visit {
    /// What this visitor may do, of what the administrator allows: without a user nobody does more than ask.
    pub fn reach(&self, allowed: Reach) -> Reach {
        if self.user.is_empty() { Reach::Asks } else { allowed }
    }

    /// The token in the cookie, if it is one of ours.
    pub fn token(&self) -> Option<&str> {
        let mut cookies = self.cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        let (_, token) = cookies.find(|(name, _)| *name == COOKIE)?;
        let is_token = token.len() == 2 * TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_token.then_some(token)
    }

    /// Whether a form that came with `token` was sent by the visitor from our own page.
    ///
    /// # Errors
    /// Why not, for the visitor.
    pub fn check(&self, token: &str) -> Result<(), String> {
        let is_ours = !self.host.is_empty()
            && authority(&self.origin).is_some_and(|from| from.eq_ignore_ascii_case(&self.host));
        let is_same_site = self.fetch_site.is_empty() || self.fetch_site == "same-origin";
        if !(is_ours && is_same_site) {
            return Err("This was not sent from the page itself.".into());
        }
        match self.token() {
            Some(ours) if is_equal(ours, token) => Ok(()),
            Some(_) => Err("The page is out of date: its token is another. Try again.".into()),
            None => {
                Err("The browser sent no cookie, which pen's page needs to know its own forms again.".into())
            }
        }
    }
}

/// `host:port` of a URL, as in `Host`.
fn authority(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (["http", "https"].contains(&scheme) && !authority.contains('@')).then_some(authority)
}

/// In a time that says nothing about where they differ.
fn is_equal(ours: &str, theirs: &str) -> bool {
    let differing = ours
        .bytes()
        .zip(theirs.bytes())
        .fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
    ours.len() == theirs.len() && differing == 0
}

/// A token that nobody can guess.
///
/// # Errors
/// The system has no random numbers.
pub fn new_token() -> io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The header that gives a browser its token: for this page only, for no script, for no request from another site.
pub fn set_cookie(token: &str, path: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("Set-Cookie: {COOKIE}={token}; Path={path}; HttpOnly; SameSite=Strict{secure}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn visit() -> Visit {
        Visit {
            user: "anna".into(),
            address: "192.0.2.7".into(),
            host: "lb.example:8080".into(),
            origin: "http://lb.example:8080".into(),
            fetch_site: "same-origin".into(),
            cookies: format!("theme=dark; {COOKIE}={TOKEN}"),
        }
    }

    #[test]
    fn what_the_visitor_sent_from_our_page_passes() {
        assert_eq!(visit().check(TOKEN), Ok(()));
        let old = Visit {
            fetch_site: String::new(),
            origin: "http://LB.example:8080/penctl?view=x".into(),
            ..visit()
        };
        assert_eq!(old.check(TOKEN), Ok(()), "an old browser says less");
        let behind_tls = Visit { origin: "https://lb.example:8080".into(), ..visit() };
        assert_eq!(behind_tls.check(TOKEN), Ok(()), "somebody before the web server may do TLS");
    }

    #[test]
    fn what_somebody_else_made_the_browser_send_does_not() {
        for origin in [
            "",
            "null",
            "http://evil.example",
            "http://lb.example",
            "http://lb.example:8080.evil.example",
            "http://lb.example:8080@evil.example",
            "http://evil.example/lb.example:8080",
            "lb.example:8080",
            "file://lb.example:8080",
        ] {
            let visit = Visit { origin: origin.into(), ..visit() };
            assert!(visit.check(TOKEN).unwrap_err().starts_with("This was not sent"), "{origin}");
        }
        for fetch_site in ["cross-site", "same-site", "none"] {
            let visit = Visit { fetch_site: fetch_site.into(), ..visit() };
            assert!(visit.check(TOKEN).is_err(), "{fetch_site}");
        }
        assert!(Visit { host: String::new(), origin: "http://".into(), ..visit() }.check(TOKEN).is_err());
    }

    #[test]
    fn a_token_counts_only_with_its_cookie() {
        let other = TOKEN.replace('0', "1");
        for token in ["", &TOKEN[1..], &other, &format!("{TOKEN}0")] {
            assert!(visit().check(token).unwrap_err().contains("token"), "{token}");
        }
        for cookies in [
            "",
            "penctl_token=",
            "penctl_token=short",
            &format!("x{COOKIE}={TOKEN}"),
            &format!("{COOKIE}={}", "z".repeat(64)),
        ] {
            let visit = Visit { cookies: cookies.to_string(), ..visit() };
            assert!(visit.check(TOKEN).unwrap_err().contains("cookie"), "{cookies}");
            assert!(visit.check("").is_err(), "{cookies}");
        }
    }

    #[test]
    fn nobody_in_particular_may_only_ask() {
        for allowed in [Reach::Asks, Reach::Servers, Reach::Everything] {
            assert_eq!(visit().reach(allowed), allowed);
            assert_eq!(Visit { user: String::new(), ..visit() }.reach(allowed), Reach::Asks);
        }
    }

    #[test]
    fn tokens_are_new_each_time() {
        let [one, two] = [(); 2].map(|()| new_token().unwrap());
        assert_ne!(one, two);
        let visit = Visit { cookies: format!("{COOKIE}={one}"), ..visit() };
        assert_eq!(visit.check(&one), Ok(()));
        assert_eq!(
            set_cookie("t", "/penctl", true),
            "Set-Cookie: penctl_token=t; Path=/penctl; HttpOnly; SameSite=Strict; Secure\r\n"
        );
        assert!(!set_cookie("t", "/", false).contains("Secure"));
    }
}
