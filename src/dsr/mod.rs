//! Direct server return: clients' packets go to servers on the same network, and the servers answer without pen.
//!
//! A handle on the thread that does it. What a frame leads to is decided in `director.rs`; the thread itself is in
//! `receive.rs`; what must be opened while there are privileges is in `open.rs`. `instance.rs` owns the handle.

pub mod open;
mod receive;

use crate::service::Service as Balanced;
use crate::shared::Shared;
use crate::sys::interfaces;
use crate::sys::threads;
use crate::sys::waking::Waker;
use director::{Counts, Service};
use open::Opened;
use pen_core::dsr::{director, filter, frame, reply, track};
use pen_proto::addr::ListenAddr;
use pen_proto::status::{ConnectionStatus, DsrStatus, Totals};
use receive::Receiver;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the main thread waits for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// What the main thread asks of the one that receives.
#[derive(Debug)]
enum Message {
    /// Flows from this slot on, some at a time, so that packets do not wait for the listing.
    Report(u32, Sender<Report>),
    /// Forgets a flow; answers whether there was one.
    Close(u32, Sender<bool>),
    Serve(Service),
    Drain,
    Stop,
}

#[derive(Debug, Default)]
struct Report {
    connections: Vec<ConnectionStatus>,
    /// Where the next report is to begin; `None` after the last.
    next: Option<u32>,
    flows_max: u64,
    counts: Counts,
    status: DsrStatus,
}

/// What there is to tell.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub connections: Vec<ConnectionStatus>,
    pub connections_max: u64,
    pub totals: Totals,
    pub status: DsrStatus,
}

/// The running director. Dropping it leaves the thread running: call [`Dsr::stop`].
pub struct Dsr {
    thread: JoinHandle<()>,
    messages: Sender<Message>,
    waker: Waker,
    flows: Arc<AtomicU64>,
    interface: String,
    /// The address served, as the operator wrote it.
    pub text: String,
}

impl Dsr {
    /// # Errors
    /// A want of threads or descriptors.
    pub fn start(opened: Opened, shared: Arc<Shared>, balanced: Arc<Balanced>) -> io::Result<Dsr> {
        let (sender, messages) = mpsc::channel();
        let flows = Arc::new(AtomicU64::new(0));
        let (interface, text) = (opened.interface.clone(), opened.text.clone());
        let receiver = Receiver::new(opened, shared, balanced, messages, flows.clone())?;
        let waker = receiver.waker();
        let thread = threads::spawn("dsr", move || receiver.run())?;
        Ok(Dsr { thread, messages: sender, waker, flows, interface, text })
    }

    /// How many flows there are.
    pub fn flows(&self) -> u64 {
        self.flows.load(Ordering::Relaxed)
    }

    /// Settings or servers have changed.
    pub fn changed(&self) {
        self.waker.wake();
    }

    /// Serves another address; flows to the old one end.
    ///
    /// # Errors
    /// It is no address, or one of this host.
    pub fn serve(&mut self, address: &ListenAddr) -> Result<(), String> {
        let service = open::service(address)?;
        let own = interfaces::own_addresses().map_err(|error| error.to_string())?;
        open::check_not_own(service.ip, &own)?;
        self.text.clone_from(&address.text);
        self.post(Message::Serve(service));
        Ok(())
    }

    /// Takes no more clients.
    pub fn drain(&self) {
        self.post(Message::Drain);
    }

    /// Forgets a flow by its number; false when there is none.
    pub fn close(&self, number: u32) -> bool {
        let (asker, answer) = mpsc::channel();
        self.post(Message::Close(number, asker));
        answer.recv_timeout(ANSWER_WAIT).unwrap_or(false)
    }

    /// Everything there is to tell; what is missing after a second is left out.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut next = Some(0);
        while let Some(start) = next {
            let (asker, answer) = mpsc::channel();
            self.post(Message::Report(start, asker));
            let Ok(report) = answer.recv_timeout(ANSWER_WAIT) else { break };
            snapshot.connections.extend(report.connections);
            snapshot.connections_max = report.flows_max;
            snapshot.totals = totals(&report.counts);
            snapshot.status = report.status;
            next = report.next;
        }
        snapshot.status.interface.clone_from(&self.interface);
        snapshot
    }

    /// Ends the thread and gives every flow back.
    pub fn stop(self) {
        self.post(Message::Stop);
        // If it panicked it has said so already.
        let _ = self.thread.join();
    }

    fn post(&self, message: Message) {
        // Fails only when the thread has ended, and then there is nobody to ask.
        let _ = self.messages.send(message);
        self.waker.wake();
    }
}

fn totals(counts: &Counts) -> Totals {
    Totals {
        accepted: counts.accepted,
        closed: counts.closed,
        denied: counts.denied,
        rejected: counts.rejected,
        failovers: counts.failovers,
        idle_timeouts: counts.idle_timeouts,
        up_bytes: counts.bytes,
        ..Totals::default()
    }
}
