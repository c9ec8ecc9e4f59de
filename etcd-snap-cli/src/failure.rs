//! What ends a command before its time, and how it is said.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::exit;
use crate::interrupt::Signal;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says why.
    Library {
        error: etcd_snap::Error,
        hint: Option<String>,
    },
    /// The node's half says why.
    Node(etcd_snap_node::Error),
    /// A recovery has stopped half way, for this reason.
    HalfWay(etcd_snap_node::Error),
    /// What was looked at speaks against it, as the report says.
    Refused(String),
    /// The arguments contradict each other, in a way that only shows when they are used.
    Usage(String),
    /// Something around the work failed: standard output, signals, the runtime.
    System {
        doing: &'static str,
        error: io::Error,
    },
    /// A file of our own beside the work.
    File {
        doing: &'static str,
        path: PathBuf,
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

impl From<etcd_snap_node::Error> for Failure {
    fn from(error: etcd_snap_node::Error) -> Self {
        Self::Node(error)
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

    /// What it is called in metrics, and the exit code.
    pub(crate) fn kind_and_code(&self) -> (&'static str, u8) {
        (exit::name(self.code()), self.code())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Library { error, .. } => exit::code(error.kind()),
            Self::Node(error) => exit::code_of_node(error),
            Self::HalfWay(_) => exit::HALF_WAY,
            Self::Refused(_) => exit::REFUSED,
            Self::Usage(_) => exit::USAGE,
            Self::System { .. } | Self::File { .. } => exit::FILES,
            Self::Late { .. } => exit::TRANSFER,
            Self::Stopped(signal) => signal.exit_code(),
            Self::Reported { code } => *code,
        }
    }

    /// What happened, with its causes, and what to do about it. `None` where it has been said.
    pub(crate) fn sentence(&self) -> Option<(String, Option<String>)> {
        Some(match self {
            Self::Library { error, hint } => (chain(error), hint.clone()),
            Self::Node(error) | Self::HalfWay(error) => {
                (chain(error), error.remedy().map(str::to_owned))
            }
            Self::Usage(sentence) | Self::Refused(sentence) => (sentence.clone(), None),
            Self::System { doing, error } => (format!("cannot {doing}: {}", plain(error)), None),
            Self::File { doing, path, error } => {
                let file = path.display();
                (format!("cannot {doing} {file}: {}", plain(error)), None)
            }
            Self::Late { limit, unfinished } => (
                format!("{unfinished} within {}", humantime::format_duration(*limit)),
                Some("--command-timeout, or ETCDCTL_COMMAND_TIMEOUT, gives it more time".into()),
            ),
            Self::Stopped(signal) => (format!("stopped by {signal}"), None),
            Self::Reported { .. } => return None,
        })
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
}
