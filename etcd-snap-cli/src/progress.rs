//! Progress on standard error: a bar on a terminal, a line now and then elsewhere, nothing with `--quiet`.

use std::fmt;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use etcd_snap::{Event, Observer, Phase};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::interrupt::Interrupt;
use crate::journal;
use crate::render::text;

/// What is done before anybody would want to hear of it gets no line; a bar shows everything.
const WORTH_A_LINE_BYTES: u64 = 64_000_000;
const BETWEEN_LINES: Duration = Duration::from_secs(10);

const SPINNER: &str = "{spinner} {prefix} {elapsed}";
/// What is shown of measured work on a terminal of at least so many columns; the bar takes what is left.
const BARS: [(usize, &str); 5] = [
    (
        76,
        "{prefix} {percent:>3}% {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {left}",
    ),
    (
        52,
        "{prefix} {percent:>3}% {wide_bar} {decimal_bytes}/{decimal_total_bytes} {left}",
    ),
    (46, "{prefix} {percent}% of {decimal_total_bytes} {left}"),
    (32, "{prefix} {percent}% {left}"),
    (0, "{prefix} {percent}%"),
];

/// Shows what the library does, and tells it when a signal asked to stop.
pub(crate) struct Progress {
    interrupt: Interrupt,
    /// `None` for those who want to see nothing.
    shown: Option<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    step: Option<Step>,
    lines: Lines,
    bar: Option<Bar>,
}

/// What is being done.
struct Step {
    phase: Phase,
    since: Instant,
}

impl Progress {
    pub(crate) fn new(quiet: bool, interrupt: Interrupt) -> Self {
        let draws = io::stderr().is_terminal() && journal::takes_bar();
        let shown = Shown {
            bar: draws.then(Bar::default),
            ..Shown::default()
        };
        Self {
            interrupt,
            shown: (!quiet).then(|| Mutex::new(shown)),
        }
    }

    /// Whether the work may go on: no signal has asked to stop.
    pub(crate) fn go_on(&self) -> ControlFlow<()> {
        match self.interrupt.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// Takes the bar away, so that what follows begins on a clean line.
    pub(crate) fn finish(&self) {
        if let Some(shown) = &self.shown {
            let mut shown = locked(shown);
            if let Some(bar) = &mut shown.bar {
                bar.end();
            }
            shown.step_ends(Instant::now());
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if let Some(shown) = &self.shown {
            locked(shown).event(event, Instant::now());
        }
        self.go_on()
    }
}

impl Shown {
    fn event(&mut self, event: &Event, now: Instant) {
        let line = self.lines.event(event, now);
        match (event, line) {
            (Event::Started(phase), _) => self.step_begins(*phase, now),
            (Event::Note(note), _) => journal::note(note),
            // The bar shows it.
            (_, Some(line)) if self.bar.is_some() => journal::record(&line),
            (_, Some(line)) => journal::note(&line),
            _ => {}
        }
        if let Some(bar) = &mut self.bar {
            bar.event(event);
        }
    }

    fn step_begins(&mut self, phase: Phase, now: Instant) {
        if self.step.as_ref().is_some_and(|step| step.phase == phase) {
            return;
        }
        self.step_ends(now);
        journal::detail(doing(phase));
        self.step = Some(Step { phase, since: now });
    }

    fn step_ends(&mut self, now: Instant) {
        if let Some(step) = self.step.take() {
            let took = now.duration_since(step.since);
            let took = match took.as_millis() {
                milliseconds @ 0..1000 => format!("{milliseconds} ms"),
                _ => text::duration(took),
            };
            journal::detail(&format!("{} took {took}", doing(step.phase)));
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
    fn event(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Started(_) => {
                *self = Self::default();
                None
            }
            Event::Progress {
                phase,
                done_bytes,
                total_bytes,
            } => {
                let pace = Pace::after(self.pace, now, *done_bytes);
                self.pace = Some(pace);
                if *total_bytes < WORTH_A_LINE_BYTES || self.due.is_some_and(|due| now < due) {
                    return None;
                }
                self.due = Some(now + BETWEEN_LINES);
                let percent = done_bytes.saturating_mul(100) / total_bytes;
                let left = pace.time_left(now, *total_bytes);
                let left = left.map(|left| format!(", {}", text::time_left(left)));
                Some(format!(
                    "{}: {} of {} ({percent}%){}",
                    doing(*phase),
                    text::size(*done_bytes),
                    text::size(*total_bytes),
                    left.unwrap_or_default()
                ))
            }
            _ => None,
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
            _ => {}
        }
    }

    fn start(&mut self, phase: Phase) {
        self.end();
        let bar = ProgressBar::new_spinner()
            .with_style(style(SPINNER))
            .with_prefix(doing(phase));
        bar.enable_steady_tick(Duration::from_millis(120));
        journal::on_screen(Some(bar.clone()));
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
            journal::on_screen(None);
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
        Phase::Lock => "locking",
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
            printed.extend(lines.event(&hashed(done_bytes, 100_000_000), now));
        }
        assert_eq!(
            printed,
            [
                "hashing: 1.0 MB of 100 MB (1%)",
                "hashing: 90 MB of 100 MB (90%), 2 s left"
            ]
        );
    }

    #[test]
    fn the_pace_is_that_of_the_phase_and_of_its_last_round() {
        let start = Instant::now();
        let mut printed = Vec::new();
        let mut lines = Lines::default();
        let mut at = |seconds, event: &Event| {
            printed.extend(lines.event(event, start + Duration::from_secs(seconds)));
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
            printed,
            [
                "hashing: 0 B of 100 MB (0%)",
                "hashing: 50 MB of 100 MB (50%), 1 min left",
                "hashing: 10 MB of 100 MB (10%)",
                "hashing: 80 MB of 100 MB (80%), 3 s left",
                "hashing: 40 MB of 100 MB (40%)"
            ]
        );
    }

    #[test]
    fn small_work_gets_no_line() {
        for total_bytes in [20_480, 0] {
            let line = Lines::default().event(&hashed(0, total_bytes), Instant::now());
            assert_eq!(line, None);
        }
    }

    #[test]
    fn the_templates_of_the_bar_are_valid() {
        for template in [
            SPINNER,
            template(0),
            template(40),
            template(50),
            template(60),
            template(200),
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
