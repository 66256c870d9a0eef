//! The page: what pen said, and the forms that make it do something.
//!
//! Owns the document. It needs no script and loads nothing; everything from elsewhere is escaped. Forms that change
//! something are there only for those who may, each with the token. Pure: `views` has asked pen before.

use super::guard::Visit;
use super::views::{Content, View};
use pen_core::stats::parts::{STYLE, STYLE_SHA256, text};
use pen_proto::commands::Reach;

const OWN_STYLE: &str = include_str!("page.css");

/// SHA-256 of [`OWN_STYLE`] in base64.
const OWN_STYLE_SHA256: &str = "CKh8NdWrHcTkR6yyAj+MKxJWLUJAtp0sUf18P9Mxe6w=";

/// Everything that a page is made of.
pub struct Sheet<'a> {
    pub visit: &'a Visit,
    /// What this visitor may do.
    pub reach: Reach,
    /// Path of the program, to which forms are sent.
    pub path: &'a str,
    pub token: &'a str,
    pub view: View,
    /// What the visitor wanted, and what came of it.
    pub said: Option<Said>,
    /// What the view shows; an error is a sentence for the visitor.
    pub content: Result<Content, String>,
}

/// A command that was carried out, or was not.
pub struct Said {
    /// The line; empty when there was none.
    pub command: String,
    pub outcome: Result<String, String>,
}

/// What a browser may do with the page, as the value of a Content-Security-Policy.
pub fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{STYLE_SHA256}' 'sha256-{OWN_STYLE_SHA256}'; img-src data:; \
         base-uri 'none'; form-action 'self'"
    )
}

/// The whole document.
pub fn render(sheet: &Sheet) -> String {
    let mut page = Page { html: String::with_capacity(32 * 1024), sheet };
    page.head();
    page.header();
    page.nav();
    page.line("<main>");
    if let Some(said) = &sheet.said {
        page.said(said);
    }
    match &sheet.content {
        Ok(content) => content.draw(&mut page),
        Err(sentence) => page.line(format!("<p class=\"alarm\">{}</p>", text(sentence))),
    }
    page.line("</main>");
    page.footer();
    page.line("</body>");
    page.line("</html>");
    page.html
}

/// The document as far as it is written.
pub struct Page<'a> {
    html: String,
    sheet: &'a Sheet<'a>,
}

impl Page<'_> {
    pub fn line(&mut self, html: impl AsRef<str>) {
        self.html.push_str(html.as_ref());
        self.html.push('\n');
    }

    /// Whether the visitor may do this.
    pub fn may(&self, reach: Reach) -> bool {
        self.sheet.reach >= reach
    }

    /// A form that sends `command` and what is filled into `fields`, which are finished HTML.
    pub fn form(&mut self, command: &str, fields: &str) {
        let (path, token) = (text(self.sheet.path), text(self.sheet.token));
        self.line(format!("<form method=\"post\" action=\"{path}\">"));
        self.line(format!("<input type=\"hidden\" name=\"token\" value=\"{token}\">"));
        self.line(format!("<input type=\"hidden\" name=\"view\" value=\"{}\">", self.sheet.view.word()));
        if !command.is_empty() {
            self.line(format!("<input type=\"hidden\" name=\"command\" value=\"{}\">", text(command)));
        }
        self.line(fields);
        self.line("</form>");
    }

    /// A box for any command: of those who may only ask it is a query, which can be kept as a bookmark.
    pub fn command_box(&mut self) {
        let before = self.sheet.said.as_ref().map_or("", |said| said.command.as_str());
        let input = format!(
            "<input class=\"line\" name=\"command\" value=\"{}\" aria-label=\"Command\" placeholder=\"help\" \
             autocapitalize=\"none\" autocomplete=\"off\" spellcheck=\"false\">\n<button class=\"main\">Send</button>",
            text(before)
        );
        if self.may(Reach::Servers) {
            return self.form("", &input);
        }
        self.line(format!("<form method=\"get\" action=\"{}\">", text(self.sheet.path)));
        self.line(format!("<input type=\"hidden\" name=\"view\" value=\"{}\">", View::Command.word()));
        self.line(input);
        self.line("</form>");
    }

    fn head(&mut self) {
        self.line("<!DOCTYPE html>");
        self.line("<html lang=\"en\">");
        self.line("<head>");
        self.line("<meta charset=\"utf-8\">");
        self.line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
        self.line("<meta name=\"robots\" content=\"noindex\">");
        self.line("<link rel=\"icon\" href=\"data:,\">");
        self.line(format!("<title>pen: {}</title>", self.sheet.view.title()));
        self.line(format!("<style>{STYLE}</style>"));
        self.line(format!("<style>{OWN_STYLE}</style>"));
        self.line("</head>");
    }

    fn header(&mut self) {
        self.line("<body>");
        self.line("<header>");
        self.line("<h1>pen</h1>");
        let visit = self.sheet.visit;
        let may = match self.sheet.reach {
            Reach::Asks => "look",
            Reach::Servers => "change servers and close connections",
            Reach::Everything => "change everything",
        };
        let who = if visit.user.is_empty() { "Visitors".to_string() } else { text(&visit.user) };
        self.line(format!("<p>{who} may {may}.</p>"));
        self.line("</header>");
    }

    fn nav(&mut self) {
        self.line("<nav>");
        for view in View::ALL {
            let current = if view == self.sheet.view { " aria-current=\"page\"" } else { "" };
            let (path, word, title) = (text(self.sheet.path), view.word(), view.title());
            self.line(format!("<a href=\"{path}?view={word}\"{current}>{title}</a>"));
        }
        self.line("</nav>");
    }

    fn said(&mut self, said: &Said) {
        let is_bad = said.outcome.is_err();
        self.line(format!(
            "<section class=\"said{}\" aria-live=\"polite\">",
            if is_bad { " bad" } else { "" }
        ));
        if !said.command.is_empty() {
            self.line(format!("<p><code>{}</code></p>", text(&said.command)));
        }
        match &said.outcome {
            Ok(reply) if reply.is_empty() => self.line("<p>Done.</p>"),
            Ok(reply) => self.line(format!("<pre>{}</pre>", lines(reply))),
            Err(reason) => self.line(format!("<p class=\"bad\">{}</p>", text(reason))),
        }
        self.line("</section>");
    }

    fn footer(&mut self) {
        self.line(format!("<footer>penctl-cgi {}</footer>", env!("CARGO_PKG_VERSION")));
    }
}

/// Text of several lines: each escaped, the line ends kept.
fn lines(reply: &str) -> String {
    reply.trim_end_matches('\n').split('\n').map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
