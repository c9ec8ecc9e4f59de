//! Progress on standard error: a bar on a terminal, a line now and then elsewhere, nothing with `--quiet`.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use etcd_snap::{Event, Observer, Phase};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::render::text;

/// What is done before anybody would want to hear of it gets no line; a bar shows everything.
const WORTH_A_LINE_BYTES: u64 = 64_000_000;
const BETWEEN_LINES: Duration = Duration::from_secs(10);

const SPINNER: &str = "{spinner} {prefix} {elapsed}";
/// What is shown of measured work on a terminal of at least so many columns; the bar takes what is left.
const BARS: [(usize, &str); 3] = [
    (
        76,
        "{prefix} {percent:>3}% {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {left}",
    ),
    (
        52,
        "{prefix} {percent:>3}% {wide_bar} {decimal_bytes}/{decimal_total_bytes} {left}",
    ),
    (0, "{prefix} {percent}% of {decimal_total_bytes} {left}"),
];

/// Shows what the library does, and tells it when a signal asked to stop.
pub(crate) struct Progress {
    interrupt: Interrupt,
    shown: Shown,
}

enum Shown {
    Nothing,
    Lines(Mutex<Lines>),
    Bar(Mutex<Bar>),
}

impl Progress {
    pub(crate) fn new(quiet: bool, interrupt: Interrupt) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            Shown::Bar(Mutex::default())
        } else {
            Shown::Lines(Mutex::default())
        };
        Self { interrupt, shown }
    }

    /// Takes the bar away, so that what follows begins on a clean line.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            locked(bar).end();
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        match &self.shown {
            Shown::Nothing => {}
            Shown::Lines(lines) => locked(lines).event(event, Instant::now(), &mut io::stderr()),
            Shown::Bar(bar) => locked(bar).event(event),
        }
        match self.interrupt.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Lines {
    /// When the next line of this phase is due; `None` until the first one.
    due: Option<Instant>,
    pace: Option<Pace>,
}

/// How fast a phase advances.
#[derive(Clone, Copy)]
struct Pace {
    since: Instant,
    from_bytes: u64,
    done_bytes: u64,
}

impl Lines {
    /// Lines that cannot be written are not worth failing for.
    fn event(&mut self, event: &Event, now: Instant, to: &mut impl Write) {
        match event {
            Event::Started(_) => *self = Self::default(),
            Event::Progress {
                phase,
                done_bytes,
                total_bytes,
            } => {
                let pace = Pace::after(self.pace, now, *done_bytes);
                self.pace = Some(pace);
                if *total_bytes < WORTH_A_LINE_BYTES || self.due.is_some_and(|due| now < due) {
                    return;
                }
                self.due = Some(now + BETWEEN_LINES);
                let percent = done_bytes.saturating_mul(100) / total_bytes;
                let left = pace.time_left(now, *total_bytes);
                let left = left.map(|left| format!(", {}", text::time_left(left)));
                let _ = writeln!(
                    to,
                    "{}: {} of {} ({percent}%){}",
                    doing(*phase),
                    text::size(*done_bytes),
                    text::size(*total_bytes),
                    left.unwrap_or_default()
                );
            }
            Event::Note(note) => {
                let _ = writeln!(to, "{}", text::visible(note));
            }
            _ => {}
        }
    }
}

impl Pace {
    /// Some work begins again, and so does its pace.
    fn after(before: Option<Self>, now: Instant, done_bytes: u64) -> Self {
        let began = before.filter(|before| before.done_bytes <= done_bytes);
        let (since, from_bytes) = began.map_or((now, done_bytes), |before| {
            (before.since, before.from_bytes)
        });
        Self {
            since,
            from_bytes,
            done_bytes,
        }
    }

    /// What the rest will take; `None` before there is a pace.
    fn time_left(&self, now: Instant, total_bytes: u64) -> Option<Duration> {
        const SOON: Duration = Duration::from_secs(1);
        let elapsed = now.duration_since(self.since);
        let done = self.done_bytes.saturating_sub(self.from_bytes);
        let left = total_bytes.saturating_sub(self.done_bytes);
        if done == 0 || left == 0 || elapsed < SOON {
            return None;
        }
        Duration::try_from_secs_f64(elapsed.as_secs_f64() * left as f64 / done as f64).ok()
    }
}

#[derive(Default)]
struct Bar {
    bar: Option<ProgressBar>,
    /// Whether the bar knows how much there is to do.
    measured: bool,
}

impl Bar {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started(phase) => self.start(*phase),
            Event::Progress {
                phase,
                done_bytes,
                total_bytes,
            } => {
                if !self.measured {
                    self.start(*phase);
                    self.measure();
                }
                if let Some(bar) = &self.bar {
                    bar.set_length(*total_bytes);
                    bar.set_position(*done_bytes);
                }
            }
            Event::Note(note) => {
                let width = text::width(&Term::stderr());
                let note = text::wrap(&text::visible(note), width, 0);
                match &self.bar {
                    Some(bar) => bar.println(note),
                    None => {
                        let _ = writeln!(io::stderr(), "{note}");
                    }
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, phase: Phase) {
        self.end();
        let bar = ProgressBar::new_spinner()
            .with_style(style(SPINNER))
            .with_prefix(doing(phase));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    fn measure(&mut self) {
        self.measured = true;
        if let Some(bar) = &self.bar {
            let columns = text::width(&Term::stderr()).unwrap_or_default();
            let left = |state: &ProgressState, to: &mut dyn fmt::Write| {
                if !state.eta().is_zero() {
                    let _ = to.write_str(&text::time_left(state.eta()));
                }
            };
            bar.set_style(
                style(template(columns))
                    .progress_chars("=> ")
                    .with_key("left", left),
            );
        }
    }

    fn end(&mut self) {
        self.measured = false;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn template(columns: usize) -> &'static str {
    BARS.iter()
        .find_map(|(least, template)| (columns >= *least).then_some(*template))
        .unwrap_or(SPINNER)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Connect => "connecting",
        Phase::Receive => "receiving",
        Phase::Digest => "hashing",
        Phase::Check => "checking",
        Phase::Attest => "asking members",
        Phase::Copy => "copying",
        Phase::Write => "writing",
        Phase::Publish => "publishing",
        _ => "working",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(done_bytes: u64, total_bytes: u64) -> Event {
        Event::Progress {
            phase: Phase::Digest,
            done_bytes,
            total_bytes,
        }
    }

    #[test]
    fn lines_come_at_the_beginning_and_then_now_and_then() {
        let start = Instant::now();
        let mut printed = Vec::new();
        let mut lines = Lines::default();
        for (seconds, done_bytes) in [(0, 1_000_000), (1, 2_000_000), (11, 90_000_000)] {
            let now = start + Duration::from_secs(seconds);
            lines.event(&hashed(done_bytes, 100_000_000), now, &mut printed);
        }
        assert_eq!(
            String::from_utf8(printed).unwrap(),
            "hashing: 1.0 MB of 100 MB (1%)\nhashing: 90 MB of 100 MB (90%), 2 s left\n"
        );
    }

    #[test]
    fn the_pace_is_that_of_the_phase_and_of_its_last_round() {
        let start = Instant::now();
        let mut printed = Vec::new();
        let mut lines = Lines::default();
        let mut at = |seconds, event: &Event| {
            lines.event(event, start + Duration::from_secs(seconds), &mut printed);
        };
        at(0, &hashed(0, 100_000_000));
        at(100, &hashed(50_000_000, 100_000_000));
        // Once more from the beginning, and ten times as fast.
        at(110, &hashed(10_000_000, 100_000_000));
        at(115, &hashed(60_000_000, 100_000_000));
        at(120, &hashed(80_000_000, 100_000_000));
        at(121, &Event::Started(Phase::Digest));
        at(121, &hashed(40_000_000, 100_000_000));
        assert_eq!(
            String::from_utf8(printed).unwrap(),
            "hashing: 0 B of 100 MB (0%)\n\
             hashing: 50 MB of 100 MB (50%), 1 min left\n\
             hashing: 10 MB of 100 MB (10%)\n\
             hashing: 80 MB of 100 MB (80%), 3 s left\n\
             hashing: 40 MB of 100 MB (40%)\n"
        );
    }

    #[test]
    fn small_work_gets_no_line() {
        let mut printed = Vec::new();
        Lines::default().event(&hashed(0, 20_480), Instant::now(), &mut printed);
        Lines::default().event(&hashed(0, 0), Instant::now(), &mut printed);
        assert!(printed.is_empty());
    }

    #[test]
    fn the_templates_of_the_bar_are_valid() {
        for template in [
            SPINNER,
            template(0),
            template(40),
            template(60),
            template(200),
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
