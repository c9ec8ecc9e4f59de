//! `etcdctl options`: the flags that every command takes.

use crate::compat::call::{Call, print};
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;
use crate::compat::tree::Command;
use crate::compat::usage;

pub(crate) const OPTIONS: Command = Command::new(
    "options",
    "",
    "print the flags that every command takes",
    run,
)
.since(Dialect::V3_7);

fn run(call: &Call) -> Result<()> {
    print(format!(
        "Every command takes these flags:\n\n{}",
        usage::list(call.inherited.clone())
    ))
}
