//! What stands behind every door: users, the audit file, the pens, and how a line is carried out for somebody.
//!
//! Blocks its callers. A door that serves many at once does so on threads for that.

use crate::audit::Audit;
use crate::pens::exchange::{self, Deed};
use crate::pens::{Pen, Trouble};
use crate::rights::{self, Effect, Refusal};
use crate::users::Access;
use crate::users::store::Store;
use pen_proto::commands::without_community;
use std::sync::Arc;

/// Everything that doors share.
pub struct Office {
    pub users: Store,
    pub audit: Audit,
    pub pens: Vec<Arc<Pen>>,
}

/// Somebody who has come in, and where.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub name: String,
    pub access: Access,
    /// `web` or `ssh`.
    pub door: &'static str,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The line makes no sense here, or pen answered with this error.
    Wrong(String),
    /// Not for this user.
    Forbidden(String),
    /// There is no such pen.
    NoPen(String),
    /// The pen does not answer.
    Lost(String),
    /// Not now: too many wait for the pen, or the audit file cannot be written.
    Unavailable(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::Wrong(reason) => Failure::Wrong(reason),
            Refusal::Forbidden(reason) => Failure::Forbidden(reason),
        }
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Lost(reason) => Failure::Lost(reason),
            Trouble::Busy => Failure::Unavailable("too many wait for this pen already".into()),
        }
    }
}

impl Office {
    /// The pen of this name or address; without one the only pen there is.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn pen(&self, name: Option<&str>) -> Result<&Arc<Pen>, Failure> {
        match (name, &self.pens[..]) {
            (Some(name), pens) => {
                let named = pens.iter().find(|pen| pen.is_called(name));
                named.ok_or_else(|| Failure::NoPen(format!("no pen {}", pen_proto::addr::quoted(name))))
            }
            (None, [pen]) => Ok(pen),
            (None, _) => Err(Failure::Wrong("which pen? There are several".into())),
        }
    }

    /// Says a line to a pen for a visitor who may, and writes down what changes something, before it does.
    ///
    /// # Errors
    /// Why it was not carried out.
    pub fn carry_out(&self, visitor: &Visitor, pen: Option<&str>, line: &str) -> Result<String, Failure> {
        let effect = rights::judge(visitor.access, line)?;
        let pen = self.pen(pen)?;
        if effect == Effect::Changes {
            self.record(visitor, pen, line)?;
        }
        let reply = pen.ask(line)?.map_err(Failure::Wrong);
        if effect == Effect::Changes {
            pen.watch().ring();
        }
        reply
    }

    /// The settings of a pen, as a file of commands. They may tell secrets, so they are for those who may change them.
    ///
    /// # Errors
    /// Why there are none.
    pub fn settings(&self, visitor: &Visitor, pen: Option<&str>) -> Result<String, Failure> {
        full(visitor)?;
        exchange::settings(self.pen(pen)?)?.map_err(Failure::Wrong)
    }

    /// Which commands would make the settings of a pen those of the text; with [`Deed::Apply`] they are carried out,
    /// after each was written down.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn compare(
        &self,
        visitor: &Visitor,
        pen: Option<&str>,
        deed: Deed,
        text: &str,
    ) -> Result<String, Failure> {
        full(visitor)?;
        let pen = self.pen(pen)?;
        let commands = exchange::hand_over(pen, Deed::Diff, text)?.map_err(Failure::Wrong)?;
        if deed == Deed::Diff || commands.trim().is_empty() {
            return Ok(commands);
        }
        for command in commands.lines() {
            self.record(visitor, pen, command)?;
        }
        let reply = exchange::hand_over(pen, deed, text)?.map_err(Failure::Wrong);
        pen.watch().ring();
        reply
    }

    fn record(&self, visitor: &Visitor, pen: &Pen, line: &str) -> Result<(), Failure> {
        // The file is read by more people than may know a community.
        let line = without_community(line);
        let recorded = self.audit.record(&visitor.name, visitor.door, &pen.name, &line);
        recorded.map_err(|reason| {
            pen_sys::program::complain(format_args!("penadmin: {reason}"));
            Failure::Unavailable("changes cannot be written down, so none are made".into())
        })
    }
}

fn full(visitor: &Visitor) -> Result<(), Failure> {
    match visitor.access {
        Access::Full => Ok(()),
        Access::ReadOnly => Err(Failure::Forbidden("a user with access \"readonly\" may only look".into())),
    }
}
