//! What ends a command before its time, and how it is said.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use console::{Style, Term};

use crate::exit;
use crate::interrupt::Signal;
use crate::render::text;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says why.
    Library {
        error: etcd_snap::Error,
        hint: Option<String>,
    },
    /// The arguments contradict each other, in a way that only shows when they are used.
    Usage(String),
    /// Something around the work failed: standard output, signals, the runtime.
    System {
        doing: &'static str,
        error: io::Error,
    },
    /// It was not over in the time that it was given.
    Late {
        limit: Duration,
        unfinished: &'static str,
    },
    /// A signal asked to stop, and what was begun is cleaned up.
    Stopped(Signal),
    /// The report on standard output says it all; only the exit code is left to give.
    Reported { code: u8 },
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<etcd_snap::Error> for Failure {
    fn from(error: etcd_snap::Error) -> Self {
        Self::Library { error, hint: None }
    }
}

impl Failure {
    /// Adds what to do about it, in the words of the command line. A hint that is already there stays.
    #[must_use]
    pub(crate) fn or_hint(
        self,
        hint_for: impl FnOnce(&etcd_snap::Error) -> Option<String>,
    ) -> Self {
        match self {
            Self::Library { error, hint: None } => {
                let hint = hint_for(&error);
                Self::Library { error, hint }
            }
            other => other,
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Library { error, .. } => exit::code(error.kind()),
            Self::Usage(_) => exit::USAGE,
            Self::System { .. } => exit::FILES,
            Self::Late { .. } => exit::TRANSFER,
            Self::Stopped(signal) => signal.exit_code(),
            Self::Reported { code } => *code,
        }
    }

    /// One line `error: what: cause: cause`, and a line `hint:` where there is something to do.
    pub(crate) fn print(&self, to: &mut impl Write) -> io::Result<()> {
        let (sentence, hint) = match self {
            Self::Library { error, hint } => (chain(error), hint.as_deref()),
            Self::Usage(sentence) => (sentence.clone(), None),
            Self::System { doing, error } => (format!("cannot {doing}: {}", plain(error)), None),
            Self::Late { limit, unfinished } => (
                format!("{unfinished} within {}", humantime::format_duration(*limit)),
                Some("--command-timeout, or ETCDCTL_COMMAND_TIMEOUT, gives it more time"),
            ),
            Self::Stopped(signal) => (format!("stopped by {signal}"), None),
            Self::Reported { .. } => return Ok(()),
        };
        let look = Style::new().for_stderr().bold();
        print_line(to, "error:", &look.clone().red(), &sentence)?;
        if let Some(hint) = hint {
            print_line(to, "hint:", &look.cyan(), hint)?;
        }
        Ok(())
    }
}

fn chain(error: &dyn Error) -> String {
    let mut sentence = plain(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(sentence, ": {}", plain(error));
        cause = error.source();
    }
    sentence
}

/// Without the number that the standard library adds to what the operating system says.
fn plain(error: &dyn Error) -> String {
    let sentence = error.to_string();
    match sentence.split_once(" (os error ") {
        Some((words, number)) if number.trim_end_matches(')').parse::<i32>().is_ok() => {
            words.to_owned()
        }
        _ => sentence,
    }
}

fn print_line(to: &mut impl Write, label: &str, look: &Style, sentence: &str) -> io::Result<()> {
    let sentence = format!("{label} {}", text::visible(sentence));
    let lines = text::wrap(&sentence, text::width(&Term::stderr()), 0);
    let rest = lines.strip_prefix(label).unwrap_or(&lines);
    writeln!(to, "{}{rest}", look.apply_to(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl std::fmt::Display for Layer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    #[test]
    fn causes_follow_the_sentence() {
        let error = Layer(
            "cannot open a.db",
            Some(Box::new(Layer("permission denied", None))),
        );
        assert_eq!(chain(&error), "cannot open a.db: permission denied");
    }

    #[test]
    fn nothing_that_an_error_quotes_can_steer_the_terminal() {
        let mut printed = Vec::new();
        Failure::Usage("bad \u{1b}[2J name\r\nerror: lies".into())
            .print(&mut printed)
            .unwrap();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(
            console::strip_ansi_codes(&printed),
            "error: bad \\u{1b}[2J name\\r\\nerror: lies\n"
        );
    }
}
