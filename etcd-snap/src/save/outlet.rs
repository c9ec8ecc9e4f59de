//! The two ways out: a staged file, and what is written directly.

use std::path::PathBuf;
use std::sync::Arc;

use super::direct::{Direct, Watched};
use super::options::SaveOptions;
use super::pattern::{Arrival, Pattern};
use super::report::Origin;
use super::target;
use crate::Result;
use crate::io::{Flusher, NewFile, Replace, StagedFile};

/// What the future keeps of a target while the thread writes.
#[derive(Debug)]
pub(crate) enum Outlet {
    Staged {
        staged: StagedFile,
        /// What its name is made of, where it is not decided yet.
        pattern: Option<Pattern>,
    },
    /// Written as the bytes come; with a path, if it has one.
    Direct(Option<PathBuf>),
}

impl Outlet {
    /// Refuses, before the transfer, a name that nobody will be able to complete, or whose place is taken.
    pub(crate) fn expect(&self, origin: &Origin, options: &SaveOptions) -> Result<()> {
        if let Self::Staged {
            pattern: Some(pattern),
            ..
        } = self
            && let Some(path) = pattern.before_arrival(origin)?
        {
            target::look_at_filled(&path, pattern, options)?;
        }
        Ok(())
    }

    /// Decides on the name.
    pub(super) fn complete(
        &mut self,
        origin: &Origin,
        arrival: Arrival,
        options: &SaveOptions,
    ) -> Result<()> {
        if let Self::Staged { staged, pattern } = self
            && let Some(pattern) = pattern
        {
            let path = pattern.fill(origin, arrival)?;
            target::look_at_filled(&path, pattern, options)?;
            staged.will_be(path);
        }
        Ok(())
    }

    /// Gives a file its name; what is written directly is there already.
    pub(crate) fn publish(&mut self, replace: Replace) -> Result<()> {
        match self {
            Self::Staged { staged, .. } => staged.publish(replace),
            Self::Direct(_) => Ok(()),
        }
    }

    /// Makes sure that a file of this size fits where it goes, as far as its filesystem tells.
    #[cfg(feature = "client")]
    pub(crate) fn require_room(&self, file_bytes: u64) -> Result<()> {
        match self {
            Self::Staged { staged, .. } => staged.require_room(file_bytes),
            Self::Direct(_) => Ok(()),
        }
    }

    /// Begins again: the file goes, and a new one takes its place. `None` of what has left.
    #[cfg(feature = "client")]
    pub(crate) fn again(self, options: &SaveOptions) -> Result<Option<(Self, Sink)>> {
        match self {
            Self::Staged { staged, pattern } => {
                let path = staged.target().to_owned();
                drop(staged);
                target::again(&path, pattern, options).map(Some)
            }
            Self::Direct(_) => Ok(None),
        }
    }

    /// Removes what an earlier save has left beside the file.
    pub(crate) fn forget_unproven(&self, options: &SaveOptions) {
        if let Self::Staged { staged, .. } = self {
            target::forget_unproven(staged.target(), options);
        }
    }

    pub(crate) fn into_path(self) -> Option<PathBuf> {
        match self {
            Self::Staged { staged, .. } => Some(staged.target().to_owned()),
            Self::Direct(path) => path,
        }
    }
}

/// What the thread writes into.
pub(crate) enum Sink {
    Staged {
        file: Arc<dyn NewFile>,
        /// The final name, for sentences: the staged one means nothing to anybody.
        path: PathBuf,
        flusher: Flusher,
    },
    Direct(Direct),
}

impl Sink {
    pub(crate) fn staged(staged: &StagedFile) -> Self {
        Self::Staged {
            file: Arc::clone(staged.file()),
            path: staged.target().to_owned(),
            flusher: Flusher::new(staged.file()),
        }
    }

    /// What can tell that its reader has gone away.
    pub(crate) fn watched(&self) -> Option<Watched> {
        match self {
            Self::Staged { .. } => None,
            Self::Direct(direct) => direct.watched(),
        }
    }
}
