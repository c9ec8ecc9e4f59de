//! `etcd-snap discover`: every etcd of this machine.

use clap::Args;

use crate::arguments::Output;
use crate::failure::{Failure, Result};

/// Find every etcd of this machine and describe it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  etcd-snap discover")]
pub(crate) struct Arguments {}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let _ = (arguments, output);
    Err(Failure::Usage("not built yet".into()))
}
