//! `etcd-snap recover`: a node is brought back.

use clap::Args;

use crate::arguments::Output;
use crate::failure::{Failure, Result};

/// Bring this node back from a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etcd-snap recover")]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let _ = (arguments, output);
    Err(Failure::Usage("not built yet".into()))
}
