//! How a command ends: the codes and the one line of the original.

use std::fmt::Display;

/// The codes of etcd's tools (pkg/cobrautl/error.go).
pub(crate) const ERROR: u8 = 1;
/// No client could be made, for a wrong password for example.
pub(crate) const BAD_CONNECTION: u8 = 2;
/// Also what the tool of etcd 2 ends with where it does not know the command.
pub(crate) const INVALID_INPUT: u8 = 3;
pub(crate) const BAD_FEATURE: u8 = 4;
/// What every failed `snapshot save` ends with.
pub(crate) const INTERRUPTED: u8 = 5;
pub(crate) const BAD_ARGUMENTS: u8 = 128;

/// What a command ends with when it did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: u8,
    /// Printed as `Error: text`; nothing where everything is said.
    pub(crate) text: Option<String>,
}

pub(crate) type Result<T, E = Ended> = std::result::Result<T, E>;

impl Ended {
    pub(crate) fn new(code: u8, text: impl Display) -> Self {
        Self {
            code,
            text: Some(text.to_string()),
        }
    }

    /// A general failure.
    pub(crate) fn error(text: impl Display) -> Self {
        Self::new(ERROR, text)
    }

    pub(crate) fn arguments(text: impl Display) -> Self {
        Self::new(BAD_ARGUMENTS, text)
    }

    /// Everything has been said.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, text: None }
    }
}
