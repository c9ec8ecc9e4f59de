//! What people see of the demo: steps with their times, commands, what these print, and what was proven. On standard
//! output; colours and the width are the terminal's.

use std::fmt;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use console::{Style, Term};
use indicatif::{ProgressBar, ProgressStyle};

use super::wrap;

/// The width where there is no terminal to ask.
const WIDTH: usize = 80;

pub(super) struct Narrator {
    /// Goes before everything, on every line.
    before: &'static str,
    /// How many steps there will be.
    steps: usize,
    times: Vec<(&'static str, Duration)>,
    began: Instant,
}

/// Nobody reads on. A reason to stop, not worth a word.
#[derive(Debug)]
pub(crate) struct NoReader;

impl fmt::Display for NoReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads what the demo says")
    }
}

impl std::error::Error for NoReader {}

impl Narrator {
    pub(super) fn new(steps: usize, before: &'static str) -> Self {
        Narrator {
            before,
            steps,
            times: Vec::new(),
            began: Instant::now(),
        }
    }

    /// What all of it is about.
    pub(super) fn title(&self, title: &str) -> Result<()> {
        self.paragraph("", "", title, &Style::new().bold())
    }

    /// One step: its heading, whatever it tells, its time.
    pub(super) fn step<T>(
        &mut self,
        title: &'static str,
        act: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let heading = format!("[{}/{}] {title}", self.times.len() + 1, self.steps);
        self.line("")?;
        self.paragraph("", "      ", &heading, &Style::new().bold().cyan())?;
        let began = Instant::now();
        let done = act(self).with_context(|| match self.before {
            "" => format!("the demo failed at {heading}"),
            before => format!(
                "the demo ({}) failed at {heading}",
                before.trim_end_matches('|')
            ),
        })?;
        let time = began.elapsed();
        self.paragraph(
            "  ",
            "  ",
            &format!("took {}", seconds(time)),
            &Style::new().dim(),
        )?;
        self.times.push((title, time));
        Ok(done)
    }

    /// A sentence.
    pub(super) fn say(&self, text: &str) -> Result<()> {
        self.paragraph("  ", "  ", text, &Style::new())
    }

    /// A command as a person types it.
    pub(super) fn command(&self, words: &[String]) -> Result<()> {
        let lines = wrap::command(words, self.room().saturating_sub(4), 2);
        for (place, line) in lines.iter().enumerate() {
            let start = if place == 0 { "  $ " } else { "    " };
            self.line(&format!("{start}{}", Style::new().green().apply_to(line)))?;
        }
        Ok(())
    }

    /// What a command printed.
    pub(super) fn output(&self, text: &str) -> Result<()> {
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len() + 4;
            let (first, rest) = (" ".repeat(indent), " ".repeat(indent + 2));
            self.paragraph(&first, &rest, line.trim_start(), &Style::new())?;
        }
        Ok(())
    }

    /// Something that was compared, and holds.
    pub(super) fn proven(&self, text: &str) -> Result<()> {
        let ok = Style::new().green().bold();
        let mut lines = wrap::text(text, self.room().saturating_sub(6)).into_iter();
        let first = lines.next().unwrap_or_default();
        self.line(&format!("  {}  {first}", ok.apply_to("ok")))?;
        for line in lines {
            self.line(&format!("      {line}"))?;
        }
        Ok(())
    }

    /// The steps and their times.
    pub(super) fn summary(&self) -> Result<()> {
        self.line("")?;
        self.title("What took how long")?;
        let rows = self.times.iter().copied();
        let rows: Vec<_> = rows.chain([("Together", self.began.elapsed())]).collect();
        let widest = |column: fn(&(&str, Duration)) -> usize| rows.iter().map(column).max();
        let names = widest(|(name, _)| name.len()).unwrap_or_default();
        let times = widest(|(_, time)| seconds(*time).len()).unwrap_or_default();
        for (name, time) in &rows {
            self.line(&format!("  {name:<names$}  {:>times$}", seconds(*time)))?;
        }
        Ok(())
    }

    /// What becomes of the folder.
    pub(super) fn epilogue(&self, place: &str, kept: Option<&[(&str, &str)]>) -> Result<()> {
        self.line("")?;
        let Some(kept) = kept else {
            return self.say(&format!("Everything in {place} is removed again."));
        };
        self.say(&format!("Kept in {place}:"))?;
        for (name, what) in kept {
            self.paragraph(
                &format!("    {name:<9}  "),
                &" ".repeat(15),
                what,
                &Style::new(),
            )?;
        }
        self.say("To remove it:")?;
        self.command(&["rm".to_owned(), "-r".to_owned(), place.to_owned()])
    }

    /// A sentence beside the story, on standard error. Nothing is lost when nobody hears it.
    pub(super) fn aside(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}{text}", self.before);
    }

    /// Moves on the terminal while something takes long, until it is dropped. Nothing else may be told meanwhile.
    pub(super) fn busy(&self, doing: &str) -> Busy {
        let template = format!("{}  {{spinner}} {{msg}} {{elapsed}}", self.before);
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(doing.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        Busy(spinner)
    }

    /// Wrapped, with one indent for the first line and one for those after it.
    fn paragraph(&self, first: &str, rest: &str, text: &str, look: &Style) -> Result<()> {
        let width = self.room().saturating_sub(first.len().max(rest.len()));
        for (place, line) in wrap::text(text, width).iter().enumerate() {
            let indent = if place == 0 { first } else { rest };
            self.line(&format!("{indent}{}", look.apply_to(line)))?;
        }
        Ok(())
    }

    fn line(&self, line: &str) -> Result<()> {
        let before = Style::new().yellow().apply_to(self.before);
        let mut out = io::stdout().lock();
        match writeln!(out, "{before}{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            // A terminal that was closed answers with EIO.
            Err(_) => Err(NoReader.into()),
        }
    }

    /// How wide a line may be.
    fn room(&self) -> usize {
        let terminal = Term::stdout().size_checked();
        let width = terminal.map_or(WIDTH, |(_, columns)| usize::from(columns));
        width.saturating_sub(self.before.len())
    }
}

/// See [`Narrator::busy`].
pub(super) struct Busy(ProgressBar);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// `34 ms`, `0.3 s`, `42.0 s`, `3 min 20 s`.
fn seconds(time: Duration) -> String {
    match (time.as_secs(), time.as_millis()) {
        (_, milliseconds @ 0..100) => format!("{milliseconds} ms"),
        (0..60, _) => format!("{:.1} s", time.as_secs_f64()),
        (seconds, _) => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(34)), "34 ms");
        assert_eq!(seconds(Duration::from_millis(320)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(42)), "42.0 s");
        assert_eq!(seconds(Duration::from_secs(200)), "3 min 20 s");
    }
}
