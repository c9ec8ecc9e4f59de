//! What a journal says: the steps of a change.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::io::NewFile;
use crate::{Error, ErrorKind, Result};

/// A path in a journal: relative to the journal's directory where it is below, so that it is right under another mount too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub(crate) struct Place(pub(crate) PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Written> for Place {
    fn from(written: Written) -> Self {
        Self(match written {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => std::ffi::OsString::from_vec(bytes).into(),
        })
    }
}

impl From<Place> for Written {
    fn from(Place(path): Place) -> Self {
        match path.into_os_string().into_string() {
            Ok(text) => Self::Text(text),
            Err(other) => Self::Bytes(other.as_bytes().to_vec()),
        }
    }
}

/// One step of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    MakeDir {
        path: Place,
    },
    /// Of a directory that is empty by then.
    RemoveDir {
        path: Place,
    },
    /// Of an empty file.
    RemoveFile {
        path: Place,
    },
    /// To a name that nothing has.
    Rename {
        from: Place,
        to: Place,
    },
    /// Two directories change places. `one` has a file of the name `marker` before, and `other` afterwards.
    Exchange {
        one: Place,
        other: Place,
        marker: String,
    },
    /// What is no database takes the place of one, which is kept under another name, where there is one.
    Cover {
        database: Place,
        barrier: Place,
        kept: Option<Place>,
    },
    /// A database takes the place of what is none.
    Uncover {
        from: Place,
        to: Place,
        /// Where another barrier is written if the step is taken back.
        barrier: Place,
    },
}

/// What is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    schema: u32,
    /// For the person who opens the file.
    what: String,
    /// Steps that are taken back if the one that decides was not done.
    pub(crate) before: Vec<Step>,
    /// The step that decides.
    pub(crate) commit: Step,
    pub(crate) after: Vec<Step>,
    /// What was made for this change, and is removed when it is taken back.
    pub(crate) staged: Vec<Place>,
    /// Removed behind the journal.
    pub(crate) litter: Vec<Place>,
    /// What stands in for a database meanwhile.
    pub(crate) barrier: String,
    /// Whether the change takes back another.
    #[serde(default)]
    pub(crate) undoes: bool,
}

impl Plan {
    pub(crate) const SCHEMA: u32 = 1;

    pub(crate) fn new(before: Vec<Step>, commit: Step, after: Vec<Step>) -> Self {
        Self {
            schema: Self::SCHEMA,
            what: "etcd-snap is changing these directories, or was stopped while it did: run the same command again, or \
                   `etcd-snap restore --undo DIR`, and leave this file where it is until then"
                .to_owned(),
            before,
            commit,
            after,
            staged: Vec::new(),
            litter: Vec::new(),
            barrier: String::new(),
            undoes: false,
        }
    }

    pub(super) fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        let commit = std::iter::once(&self.commit);
        self.before.iter().chain(commit).chain(&self.after)
    }

    /// With other paths.
    pub(super) fn with_places(mut self, change: &dyn Fn(&Path) -> PathBuf) -> Self {
        let each = |place: &mut Place| place.0 = change(&place.0);
        let steps = self.before.iter_mut().chain(&mut self.after);
        for step in steps.chain([&mut self.commit]) {
            match step {
                Step::MakeDir { path } | Step::RemoveDir { path } | Step::RemoveFile { path } => {
                    each(path);
                }
                Step::Rename { from, to } => [from, to].into_iter().for_each(each),
                Step::Exchange { one, other, .. } => [one, other].into_iter().for_each(each),
                Step::Cover {
                    database,
                    barrier,
                    kept,
                } => {
                    [database, barrier].into_iter().for_each(each);
                    kept.iter_mut().for_each(each);
                }
                Step::Uncover { from, to, barrier } => {
                    [from, to, barrier].into_iter().for_each(each);
                }
            }
        }
        self.staged.iter_mut().for_each(each);
        self.litter.iter_mut().for_each(each);
        self
    }
}

/// Reads a journal.
///
/// # Errors
/// `Damaged` and `Unsupported` where it is none that this version can follow.
pub(super) fn read(file: &dyn NewFile, journal: &Path) -> Result<Plan> {
    const LARGEST: u64 = 16 << 20;
    let failed = |e| Error::io("read the journal", journal, e);
    let size = file.size().map_err(failed)?;
    let mut text = vec![0; usize::try_from(size.min(LARGEST)).unwrap_or_default()];
    let length = file.read_at(&mut text, 0).map_err(failed)?;
    let plan: Plan = serde_json::from_slice(text.get(..length).unwrap_or_default()).map_err(|e| {
        Error::damaged(format!(
            "the journal {} is damaged: it says what a restore was doing when it was stopped; look at the directories by hand",
            journal.display()
        ))
        .with_path(journal)
        .with_source(e)
    })?;
    if plan.schema != Plan::SCHEMA {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the journal {} is of another version of etcd-snap: run that one",
                journal.display()
            ),
        )
        .with_path(journal));
    }
    Ok(plan)
}
