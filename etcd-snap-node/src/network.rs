//! Questions to members, for callers that block.

use tokio::runtime::{Builder, Runtime};

use crate::{Error, ErrorKind, Result};

/// What questions are waited for with, in the thread of the caller.
///
/// # Errors
/// `Io` where the system refuses what it takes.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| {
            Error::new(ErrorKind::Io, "the network runtime cannot be started").with_source(e)
        })
}
