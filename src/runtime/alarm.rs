//! Noticing that a worker has ended by itself, which only a mistake of ours can bring about.
//!
//! Half a pen would look alive to whoever watches it, and serve half of its clients or none. Raised by the thread of the
//! worker, however it ends; looked at by the main thread, which then ends pen.

use crate::published::lock;
use std::sync::{Arc, Mutex};

/// Shared by the workers and the main thread.
#[derive(Default)]
pub struct Alarm(Mutex<State>);

#[derive(Default)]
struct State {
    raised: bool,
    bell: Option<Box<dyn Fn() + Send>>,
}

impl Alarm {
    /// Rings `bell` from now on when the alarm is raised. Look at [`Alarm::is_raised`] afterwards: it may have been
    /// raised before.
    pub fn answer_to(&self, bell: impl Fn() + Send + 'static) {
        lock(&self.0).bell = Some(Box::new(bell));
    }

    pub fn is_raised(&self) -> bool {
        lock(&self.0).raised
    }

    fn raise(&self) {
        let mut state = lock(&self.0);
        state.raised = true;
        if let Some(bell) = &state.bell {
            bell();
        }
    }
}

/// Raises the alarm when it is dropped, also by a panic.
pub struct RaisedAtEnd(pub Arc<Alarm>);

impl Drop for RaisedAtEnd {
    fn drop(&mut self) {
        self.0.raise();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_thread_that_panics_raises_it() {
        let alarm = Arc::new(Alarm::default());
        let (sender, bell) = channel();
        alarm.answer_to(move || sender.send(()).unwrap());
        assert!(!alarm.is_raised());
        let raised = RaisedAtEnd(alarm.clone());
        let thread = thread::spawn(move || {
            let _raised = raised;
            std::panic::resume_unwind(Box::new("not told by the panic hook"));
        });
        assert!(thread.join().is_err());
        bell.try_recv().expect("the bell has rung");
        assert!(alarm.is_raised());
    }
}
