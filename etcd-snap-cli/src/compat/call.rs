//! One call of a command: what was asked, in which dialect, and how the answer may look.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::dialect::{Dialect, Tool};
use super::ended::{self, Ended, Result};
use super::environment;
use super::flags::{Flag, Flags};
use super::log::Log;
use crate::journal;

/// A line that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) tool: Tool,
    pub(crate) dialect: Dialect,
    /// `snapshot save`.
    pub(crate) command: String,
    pub(crate) flags: Flags,
    /// What variables can set.
    pub(crate) inherited: Vec<Flag>,
    pub(crate) arguments: Vec<OsString>,
}

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Simple,
    Json,
    Fields,
    Table,
    Protobuf,
}

impl Call {
    /// The only argument, or what the original says.
    pub(crate) fn only_argument(&self, otherwise: &str) -> Result<&Path> {
        match self.arguments.as_slice() {
            [only] => Ok(Path::new(only)),
            _ => Err(Ended::arguments(otherwise)),
        }
    }

    pub(crate) fn path(&self, flag: &str) -> PathBuf {
        self.flags.text(flag).into()
    }

    /// The form that `--write-out` names.
    pub(crate) fn form(&self) -> Result<Form> {
        match self.flags.text("write-out") {
            "simple" => Ok(Form::Simple),
            "json" => Ok(Form::Json),
            "fields" => Ok(Form::Fields),
            "table" => Ok(Form::Table),
            "protobuf" => Ok(Form::Protobuf),
            _ => Err(Ended::new(ended::BAD_FEATURE, "unsupported output format")),
        }
    }

    /// The log of a command that works on files.
    pub(crate) fn offline_log(&self) -> Log {
        Log::offline(self.tool, self.dialect)
    }

    /// Lets variables set what was not typed: commands that make a client do, no others.
    pub(crate) fn read_environment(&mut self) {
        environment::read(self);
    }

    pub(crate) fn is_at_least(&self, dialect: Dialect) -> bool {
        self.dialect >= dialect
    }
}

/// `json not supported as output format`, and the like.
pub(crate) fn unsupported(form: Form) -> Ended {
    let name = match form {
        Form::Simple => "simple",
        Form::Json => "json",
        Form::Fields => "fields",
        Form::Table => "table",
        Form::Protobuf => "protobuf",
    };
    Ended::new(
        ended::BAD_FEATURE,
        format!("{name} not supported as output format"),
    )
}

/// Writes to standard output. A reader that has gone away is no failure.
pub(crate) fn print(bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut output = io::stdout().lock();
    let written = output
        .write_all(bytes.as_ref())
        .and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Ended::error(format!(
            "cannot write to standard output: {}",
            super::go::system(&error)
        ))),
        _ => Ok(()),
    }
}

/// One line on standard error. Nobody is left to tell when that fails.
pub(crate) fn print_aside(text: impl AsRef<str>) {
    journal::plain(&format!("{}\n", text.as_ref()));
}
