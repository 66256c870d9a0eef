//! What is known of the pens, from round to round: their latest figures, their troubles, their last day.
//!
//! Owns the step from answers to a page. All three ways to run go through it; asking the pens is `sources`.

use crate::health::Verdict;
use crate::history::{History, Sample};
use crate::page::{self, PenView, View};
use crate::sources::{self, Source};
use pen_core::stats::prometheus::{self, Pen};
use pen_proto::status::{Level, Status};
use serde::Serialize;

/// A pen and what it said last.
struct Known {
    source: Source,
    status: Option<Status>,
    trouble: Option<String>,
}

pub struct Watch {
    pens: Vec<Known>,
    history: History,
    timeout_seconds: u32,
}

impl Known {
    fn for_prometheus(&self) -> Pen<'_> {
        let name = Some(self.source.name.as_str()).filter(|name| !name.is_empty());
        Pen { name, status: self.status.as_ref(), answers: Some(self.trouble.is_none()) }
    }
}

/// Who reads what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The operator, or whoever the operator gives the page to: sees why a pen did not answer.
    Operator,
    /// Anybody: reads only that it did not.
    Public,
}

impl Watch {
    pub fn new(sources: Vec<Source>, history: History, timeout_seconds: u32) -> Watch {
        let unknown = |source| Known { source, status: None, trouble: None };
        Watch { pens: sources.into_iter().map(unknown).collect(), history, timeout_seconds }
    }

    /// Asks every pen and remembers what it says.
    pub fn ask(&mut self) {
        let sources: Vec<Source> = self.pens.iter().map(|pen| pen.source.clone()).collect();
        for (pen, answer) in self.pens.iter_mut().zip(sources::ask_all(&sources, self.timeout_seconds)) {
            match answer {
                Ok(status) => {
                    self.history.add(&pen.source.name, Sample::of(&status));
                    pen.status = Some(status);
                    pen.trouble = None;
                }
                Err(sentence) => pen.trouble = Some(sentence),
            }
        }
        self.history.forget_others(self.pens.iter().map(|pen| pen.source.name.as_str()));
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Why pens did not answer the last time.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        self.pens.iter().filter_map(|pen| pen.trouble.as_deref())
    }

    /// Whether at least one answered the last time.
    pub fn any_answer(&self) -> bool {
        self.pens.iter().any(|pen| pen.trouble.is_none())
    }

    pub fn page(&self, audience: Audience, refresh_seconds: Option<u32>, json: Option<&str>) -> String {
        let pens: Vec<PenView> = self.pens.iter().map(|pen| self.view(pen, audience)).collect();
        page::render(&View { pens: &pens, refresh_seconds, json })
    }

    fn view<'a>(&'a self, pen: &'a Known, audience: Audience) -> PenView<'a> {
        let trouble = match audience {
            Audience::Operator => pen.trouble.as_deref(),
            Audience::Public => pen.trouble.as_ref().map(|_| "The log of the web server says why."),
        };
        let name = &pen.source.name;
        PenView { name, status: pen.status.as_ref(), trouble, samples: self.history.samples(name) }
    }

    /// The figures of all pens for Prometheus.
    pub fn metrics(&self) -> String {
        let pens: Vec<Pen<'_>> = self.pens.iter().map(Known::for_prometheus).collect();
        prometheus::render_pens(&pens)
    }

    /// What keeps pens from serving their clients well, a line each.
    pub fn not_ready(&self) -> Vec<String> {
        let bad = |pen: &Known| {
            let verdict = match (&pen.trouble, &pen.status) {
                (None, Some(status)) => Verdict::of(status),
                _ => Verdict::silent(),
            };
            let of =
                if pen.source.name.is_empty() { String::new() } else { format!("{}: ", pen.source.name) };
            (verdict.level == Level::Bad).then(|| format!("{of}{}", verdict.sentence))
        };
        self.pens.iter().filter_map(bad).collect()
    }

    /// The figures of all pens: `{"pens":[{"name":…,"trouble":…,"status":…}]}`.
    pub fn json(&self) -> String {
        let pens = self.pens.iter().map(|pen| PenFigures {
            name: &pen.source.name,
            trouble: pen.trouble.as_deref(),
            status: pen.status.as_ref(),
        });
        // Strings and numbers always have a JSON form.
        let mut json =
            serde_json::to_string(&Figures { pens: pens.collect() }).expect("figures have a JSON form");
        json.push('\n');
        json
    }
}

#[derive(Serialize)]
struct Figures<'a> {
    pens: Vec<PenFigures<'a>>,
}

#[derive(Serialize)]
struct PenFigures<'a> {
    name: &'a str,
    /// Why `status` is not of now; null when it is.
    trouble: Option<&'a str>,
    /// What the pen said last; null when it never did.
    status: Option<&'a Status>,
}
