//! What is said beside the report: notes, warnings and failures, on standard error and in the file of `--log-file`.
//!
//! There is one for the program, as there is one standard error: who has something to say need not be handed it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use clap::ValueEnum;
use console::{Style, Term};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::arguments::Output;
use crate::failure::{Failure, Result};
use crate::render::text;

/// The forms of what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines to read
    #[default]
    Text,
    /// An object on each line
    Json,
}

#[derive(Debug, Default)]
struct Journal {
    form: LogFormat,
    verbose: bool,
    file: Option<LogFile>,
    /// What is on the screen now, and has to make room for a line.
    bar: Mutex<Option<ProgressBar>>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    /// `None` once it could not be written: that is said once.
    file: Mutex<Option<File>>,
}

/// One thing that is said.
#[derive(Debug, Serialize)]
struct Entry<'a> {
    ts: String,
    level: Level,
    msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

static JOURNAL: OnceLock<Journal> = OnceLock::new();

/// Takes over how it is to be said. Without it, standard error gets plain lines.
pub(crate) fn open(output: &Output) -> Result<()> {
    let journal = Journal {
        form: output.log_format,
        verbose: output.verbose,
        file: output.log_file.as_deref().map(LogFile::open).transpose()?,
        bar: Mutex::default(),
    };
    // What was opened first stays.
    let _ = JOURNAL.set(journal);
    Ok(())
}

/// Keeps in this file what is said by [`plain`].
pub(crate) fn open_file(path: &Path) -> Result<()> {
    let journal = Journal {
        file: Some(LogFile::open(path)?),
        ..Journal::default()
    };
    let _ = JOURNAL.set(journal);
    Ok(())
}

/// Lines that have their whole form already, for standard error and the file.
pub(crate) fn plain(lines: &str) {
    let _ = io::stderr().lock().write_all(lines.as_bytes());
    // Before the file is opened there is none: asking for it must not take its place.
    if let Some(journal) = JOURNAL.get() {
        journal.append(lines);
    }
}

/// A sentence worth showing.
pub(crate) fn note(sentence: &str) {
    journal().say(&Entry::new(Level::Info, sentence));
}

/// What only `--verbose` wants to hear of.
pub(crate) fn detail(sentence: &str) {
    if journal().verbose {
        journal().say(&Entry::new(Level::Debug, sentence));
    }
}

/// What did not go well and is no failure.
pub(crate) fn warning(sentence: &str) {
    journal().say(&Entry::new(Level::Warn, sentence));
}

/// What is shown in another way, and is for the file alone.
pub(crate) fn record(sentence: &str) {
    journal().keep(&Entry::new(Level::Info, sentence));
}

/// The first line of a report, which went to standard output, and with JSON all of it.
pub(crate) fn report(first_line: &str, report: &impl Serialize) {
    if journal().file.is_some() {
        let report = serde_json::to_value(report).ok();
        journal().keep(&Entry {
            report: report.as_ref(),
            ..Entry::new(Level::Info, first_line)
        });
    }
}

/// Why the command ends.
pub(crate) fn failure(failure: &Failure) {
    let Some((sentence, hint)) = failure.sentence() else {
        return;
    };
    journal().say(&Entry {
        hint: hint.as_deref(),
        exit_code: Some(failure.code()),
        ..Entry::new(Level::Error, &sentence)
    });
}

/// Whether a bar may be drawn between the lines.
pub(crate) fn takes_bar() -> bool {
    journal().form == LogFormat::Text
}

/// What is on the screen from now on.
pub(crate) fn on_screen(bar: Option<ProgressBar>) {
    *locked(&journal().bar) = bar;
}

fn journal() -> &'static Journal {
    JOURNAL.get_or_init(Journal::default)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    fn say(&self, entry: &Entry<'_>) {
        self.show(entry);
        self.keep(entry);
    }

    /// Nobody is left to tell when that fails.
    fn show(&self, entry: &Entry<'_>) {
        let shown = match self.form {
            LogFormat::Text => entry.to_text(true),
            LogFormat::Json => entry.to_json(),
        };
        let write = || {
            let _ = io::stderr().lock().write_all(shown.as_bytes());
        };
        match &*locked(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn keep(&self, entry: &Entry<'_>) {
        if self.file.is_none() {
            return;
        }
        self.append(&match self.form {
            LogFormat::Text => entry.to_text(false),
            LogFormat::Json => entry.to_json(),
        });
    }

    fn append(&self, kept: &str) {
        let Some(log) = &self.file else {
            return;
        };
        let mut file = locked(&log.file);
        let written = file.as_mut().map(|file| file.write_all(kept.as_bytes()));
        if let Some(Err(error)) = written {
            *file = None;
            let why = format!("cannot write to {}: {error}", log.path.display());
            self.show(&Entry::new(Level::Warn, &why));
        }
    }
}

impl LogFile {
    fn open(path: &Path) -> Result<Self> {
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        match opened {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file: Mutex::new(Some(file)),
            }),
            Err(error) => Err(Failure::File {
                doing: "open the log",
                path: path.to_owned(),
                error,
            }),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(level: Level, msg: &'a str) -> Self {
        Self {
            ts: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            level,
            msg,
            hint: None,
            exit_code: None,
            report: None,
        }
    }

    fn to_json(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// For the screen, or for the file: there with the time, and each line whole.
    fn to_text(&self, on_screen: bool) -> String {
        let look = Style::new().for_stderr().bold();
        let (label, colour) = match self.level {
            Level::Debug | Level::Info => ("", look.clone()),
            Level::Warn => ("warning:", look.clone().yellow()),
            Level::Error => ("error:", look.clone().red()),
        };
        let mut lines = vec![(label, colour, self.msg)];
        if let Some(hint) = self.hint {
            lines.push(("hint:", look.cyan(), hint));
        }
        let width = text::width(&Term::stderr());
        lines
            .into_iter()
            .map(|(label, look, sentence)| {
                let sentence = format!("{label} {}", text::visible(sentence));
                let sentence = sentence.trim_start();
                if !on_screen {
                    return format!("{} {sentence}\n", self.ts);
                }
                let lines = text::wrap(sentence, width, 0);
                match lines.strip_prefix(label) {
                    Some(rest) if !label.is_empty() => {
                        format!("{}{rest}\n", look.apply_to(label))
                    }
                    _ => format!("{lines}\n"),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_quoted_can_steer_the_terminal_or_begin_a_line() {
        let entry = Entry::new(Level::Error, "bad \u{1b}[2J name\r\nerror: lies");
        let shown = entry.to_text(true);
        assert_eq!(
            console::strip_ansi_codes(&shown),
            "error: bad \\u{1b}[2J name\\r\\nerror: lies\n"
        );
        let kept = entry.to_text(false);
        assert_eq!(kept.matches('\n').count(), 1, "{kept}");
        assert_eq!(entry.to_json().matches('\n').count(), 1);
    }

    #[test]
    fn the_file_has_the_time_of_every_line() {
        let mut entry = Entry::new(Level::Error, "why");
        entry.hint = Some("what to do");
        assert_eq!(
            entry.to_text(false),
            format!("{0} error: why\n{0} hint: what to do\n", entry.ts)
        );
        let note = Entry::new(Level::Info, "a note");
        assert_eq!(note.to_text(false), format!("{} a note\n", note.ts));
    }
}
