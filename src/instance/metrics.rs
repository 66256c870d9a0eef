//! What those learn who come to `metrics_listen`, and where that is.

use super::Instance;
use super::listeners::{open_beside, refused};
use crate::control::apply::Wanted;
use crate::control::plan::Plan;
use crate::log::diag::{self, Severity};
use crate::metrics::{Document, Metrics};
use crate::net::listen::{ListenOptions, Listener};
use crate::settings::{MAIN, ProcessConfig};
use crate::stats;
use crate::sys::errors::reason;
use crate::sys::inherited::Inherited;
use pen_proto::status::{ServerState, ServerStatus, ServiceView, Status, special};
use pen_web::Response;
use std::sync::Arc;

/// Wakes the main thread.
type Bell = Arc<dyn Fn() + Send + Sync>;

/// Metrics and health by HTTP, when there are any.
#[derive(Default)]
pub(super) struct Watched {
    /// From the start, until there is a main loop that answers.
    waiting: Option<Arc<Listener>>,
    bell: Option<Bell>,
    server: Option<Metrics>,
}

/// Opens what `metrics_listen` asks for, at start, or takes what was handed down.
///
/// # Errors
/// The address, with the reason.
pub fn open_metrics(
    process: &ProcessConfig,
    inherited: &mut Inherited,
) -> Result<Option<Arc<Listener>>, String> {
    let Some(address) = process.values.metrics_listen() else { return Ok(None) };
    let opened =
        Listener::adopt_or_open(address, OPTIONS, inherited).map(|listener| Some(Arc::new(listener)));
    opened.map_err(|error| format!("metrics_listen: {error}"))
}

const OPTIONS: ListenOptions =
    ListenOptions { backlog: 128, nodelay: true, mode: None, datagram_sockets: 0, shared: false };

impl Instance {
    /// Takes what [`open_metrics`] opened. It is served as soon as there is a bell.
    pub fn watch_at(&mut self, listener: Option<Arc<Listener>>) {
        self.watched.waiting = listener;
    }

    /// Begins to serve metrics. `bell` wakes the main loop, which is then to call [`Instance::answer_visitors`].
    pub fn answer_to(&mut self, bell: impl Fn() + Send + Sync + 'static) {
        self.watched.bell = Some(Arc::new(bell));
        if let Some(listener) = self.watched.waiting.take() {
            self.serve_metrics_at(Some(listener));
        }
    }

    /// Where metrics are to be served by this plan; `None` when that stays. The address they leave may overlap the new one.
    ///
    /// # Errors
    /// The address, with the reason.
    pub(super) fn open_metrics(&self, plan: &Plan<'_>) -> Result<Option<Option<Arc<Listener>>>, String> {
        if !plan.metrics {
            return Ok(None);
        }
        let Some(address) = plan.to.process.values.metrics_listen() else { return Ok(Some(None)) };
        let opened = open_beside(self.metrics_listener().map(Arc::as_ref), address, OPTIONS);
        let opened = opened.map_err(|error| format!("metrics_listen: {}", refused(&error)))?;
        Ok(Some(Some(Arc::new(opened))))
    }

    /// Where metrics are served.
    pub fn metrics_listener(&self) -> Option<&Arc<Listener>> {
        self.watched.server.as_ref().map(Metrics::listener).or(self.watched.waiting.as_ref())
    }

    /// Serves metrics there from now on, or nowhere.
    pub(super) fn serve_metrics_at(&mut self, listener: Option<Arc<Listener>>) {
        let watched = &mut self.watched;
        match (listener, &mut watched.server, watched.bell.clone()) {
            (Some(listener), Some(server), _) => server.move_to(listener),
            (Some(listener), None, Some(bell)) => match Metrics::start(listener, Box::new(move || bell())) {
                Ok(server) => watched.server = Some(server),
                Err(error) => {
                    diag::say(Severity::Error, format_args!("metrics_listen: {}", reason(&error)));
                }
            },
            (listener, None, _) => watched.waiting = listener,
            (None, Some(_), _) => self.stop_metrics(),
        }
    }

    /// Tells visitors what they wait for. Called in every turn of the main loop.
    pub fn answer_visitors(&mut self) {
        let Some(server) = &self.watched.server else { return };
        for document in server.asked().collect::<Vec<_>>() {
            let response = match document {
                Document::Health => Response::verdict("ok", &[]),
                Document::Metrics => {
                    Response::metrics(stats::prometheus::render(&self.status(Wanted::Figures, MAIN)))
                }
                Document::Readiness => Response::verdict("ready", &self.not_ready()),
            };
            if let Some(server) = &self.watched.server {
                server.answer(document, response);
            }
        }
    }

    /// What keeps pen from serving its clients well, a line each.
    fn not_ready(&mut self) -> Vec<String> {
        if self.draining {
            return vec!["pen drains: it takes no more clients".into()];
        }
        let status = self.status(Wanted::Figures, MAIN);
        let needs_servers = |service: &ServiceView<'_>| {
            let is_dummy = |name: &str| self.served.get(name).is_some_and(|served| served.is_dummy());
            !service.listen.is_empty() && !is_dummy(if service.name.is_empty() { MAIN } else { service.name })
        };
        let views = status.views().filter(needs_servers);
        views
            .filter(|service| !service.servers.iter().any(is_of_use))
            .map(|service| no_server(&status, &service))
            .collect()
    }

    /// Lets no more visitors in: those who come now are for the next pen. True when nobody waits for an answer any more.
    pub fn leave_metrics(&self) -> bool {
        let Some(server) = &self.watched.server else { return true };
        server.leave();
        server.has_left()
    }

    /// pen ends, and visitors are told so.
    pub fn say_end(&self) {
        if let Some(server) = &self.watched.server {
            server.say_end();
        }
    }

    pub(super) fn stop_metrics(&mut self) {
        if let Some(server) = self.watched.server.take() {
            server.stop();
        }
    }
}

fn is_of_use(server: &ServerStatus) -> bool {
    server.index != special::ABUSE && server.state().is_in_service()
}

/// `service web: no server may be chosen (2 down, 1 disabled)`.
fn no_server(status: &Status, service: &ServiceView<'_>) -> String {
    let of = if status.services.is_empty() { String::new() } else { format!("service {}: ", service.name) };
    let states: Vec<ServerState> = service.regular_servers().map(ServerStatus::state).collect();
    let count = |state| states.iter().filter(|found| **found == state).count();
    let counted = ServerState::ALL.into_iter().map(|state| (count(state), state));
    let told: Vec<_> =
        counted.filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect();
    match told.is_empty() {
        true => format!("{of}no server is configured"),
        false => format!("{of}no server may be chosen ({})", told.join(", ")),
    }
}
