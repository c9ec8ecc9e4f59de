//! `etcd-snap restore`: a snapshot from a running cluster.

use std::path::PathBuf;

use clap::Args;

use crate::arguments::Output;
use crate::failure::{Failure, Result};

/// Take a snapshot from a running cluster
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the snapshot goes
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, _: Output) -> Result<()> {
    Err(Failure::Usage(format!("{arguments:?}")))
}
