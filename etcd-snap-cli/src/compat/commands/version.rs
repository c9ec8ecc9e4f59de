//! `version`: the version of the tool that we stand in for, as scripts compare it.

use crate::compat::call::{Call, print};
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;
use crate::compat::tree::Command;

pub(super) const VERSION: Command =
    Command::new("version", "", "print the version that is spoken", run);

/// The newest of each minor that this one was compared with.
fn compared_with(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::V3_4 => "3.4.23",
        Dialect::V3_5 => "3.5.35",
        Dialect::V3_6 => "3.6.16",
        Dialect::V3_7 => "3.7.3",
    }
}

fn run(call: &Call) -> Result<()> {
    print(format!(
        "{} version: {}\nAPI version: {}\n",
        call.tool.name(),
        compared_with(call.dialect),
        call.dialect
    ))
}
