//! `etcd-snap doctor`: what would make a backup or a restore fail.

use clap::Args;

use crate::arguments::Output;
use crate::failure::{Failure, Result};

/// Look for all that would make a backup or a restore fail
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etcd-snap doctor")]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let _ = (arguments, output);
    Err(Failure::Usage("not built yet".into()))
}
