//! `etcd-snap drill`: a restore that is tried out before it is needed.

use clap::Args;

use crate::arguments::Output;
use crate::failure::{Failure, Result};

/// Prove that a snapshot restores, with a real etcd
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etcd-snap drill")]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let _ = (arguments, output);
    Err(Failure::Usage("not built yet".into()))
}
