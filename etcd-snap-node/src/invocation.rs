//! How a program is started: its words and variables, before anybody asks what etcd makes of them.

use std::path::PathBuf;

/// The words and variables that a program gets, with everything expanded that its starter expands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The program and its words.
    pub(crate) words: Vec<String>,
    /// The variables, each once: the one that counts.
    pub(crate) variables: Vec<Variable>,
    /// Where it is started, if known: relative paths begin there.
    pub(crate) working_directory: Option<PathBuf>,
    /// Parts of words and values that a shell puts something else in the place of when it starts the program, like `$(hostname -i)`, as
    /// they are written. What it puts there is not known.
    pub(crate) unresolved: Vec<String>,
}

impl Invocation {
    /// Whether a shell decides about a part of this text.
    pub(crate) fn is_unresolved(&self, text: &str) -> bool {
        self.unresolved.iter().any(|part| text.contains(part))
    }
}

/// A variable, and where it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The file that sets it, where one does.
    pub(crate) file: Option<PathBuf>,
}
