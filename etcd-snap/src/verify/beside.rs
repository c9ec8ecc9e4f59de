//! What an observer hears of work on a thread beside: nothing, until that is all that is left to do.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::observe::{Event, Observer};

/// Stands between the observer and the work beside.
pub(super) struct Beside<'o> {
    observer: &'o dyn Observer,
    /// The other work is done, and this one has the observer's ear.
    alone: AtomicBool,
    /// The phase was named to the observer.
    begun: AtomicBool,
    /// The other work failed: this one is in vain.
    in_vain: AtomicBool,
}

impl<'o> Beside<'o> {
    pub(super) fn new(observer: &'o dyn Observer) -> Self {
        Self {
            observer,
            alone: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            in_vain: AtomicBool::new(false),
        }
    }

    /// The other work is over.
    pub(super) fn go_on_alone<T, E>(&self, other: &Result<T, E>) {
        self.in_vain.store(other.is_err(), Ordering::Relaxed);
        self.alone.store(true, Ordering::Relaxed);
    }
}

impl Observer for Beside<'_> {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if self.in_vain.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        if !self.alone.load(Ordering::Relaxed) {
            return ControlFlow::Continue(());
        }
        if let Event::Progress { phase, .. } = event
            && !self.begun.swap(true, Ordering::Relaxed)
        {
            self.observer.event(&Event::Started(*phase))?;
        }
        self.observer.event(event)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::Phase;

    struct Heard(Mutex<Vec<Event>>);

    impl Observer for Heard {
        fn event(&self, event: &Event) -> ControlFlow<()> {
            self.0.lock().unwrap().push(event.clone());
            ControlFlow::Continue(())
        }
    }

    fn progress(done_bytes: u64) -> Event {
        Event::Progress {
            phase: Phase::Digest,
            done_bytes,
            total_bytes: 9,
        }
    }

    #[test]
    fn only_what_is_left_to_do_is_told() {
        let heard = Heard(Mutex::default());
        let beside = Beside::new(&heard);
        for n in 0..5 {
            if n == 3 {
                beside.go_on_alone(&Ok::<_, ()>(()));
            }
            assert!(beside.event(&progress(n)).is_continue());
        }
        let events = heard.0.into_inner().unwrap();
        let begun = Event::Started(Phase::Digest);
        assert_eq!(events, [begun, progress(3), progress(4)]);
    }

    #[test]
    fn what_is_in_vain_stops() {
        let heard = Heard(Mutex::default());
        let beside = Beside::new(&heard);
        assert!(beside.event(&progress(0)).is_continue());
        beside.go_on_alone(&Err::<(), _>(()));
        assert!(beside.event(&progress(1)).is_break());
        assert!(heard.0.into_inner().unwrap().is_empty());
    }
}
