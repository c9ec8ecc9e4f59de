//! `completion`: what a shell needs to complete a line of the tool.

use clap::{Arg, ArgAction};
use clap_complete::Shell;

use crate::compat::call::{Call, print, print_aside};
use crate::compat::commands::root;
use crate::compat::dialect::Dialect;
use crate::compat::ended::{ERROR, Ended, Result};
use crate::compat::flags::{Flag, Kind};
use crate::compat::go;
use crate::compat::tree::{Command, CommandKind};
use crate::compat::usage::says_twice;

pub(crate) const COMPLETION: Command = Command::new(
    "completion",
    "[bash|zsh|fish|powershell]",
    "print a script that completes lines in a shell",
    run,
)
.since(Dialect::V3_6)
.exactly(1);

fn run(call: &Call) -> Result<()> {
    let name = call.only_argument("accepts 1 arg(s)")?.to_string_lossy();
    let shell = match name.as_ref() {
        "bash" => Shell::Bash,
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        "powershell" => Shell::PowerShell,
        other => {
            let why = format!(
                "invalid argument {} for {}",
                go::quote(other),
                go::quote(&call.command)
            );
            print_aside(format!("Error: {why}"));
            return Err(Ended {
                code: ERROR,
                text: says_twice(call.tool, call.dialect).then_some(why),
            });
        }
    };
    let tool = call.tool.name();
    let mut script = Vec::new();
    let mut definition = definition(root(call.tool), call.dialect);
    clap_complete::generate(shell, &mut definition, tool, &mut script);
    print(script)
}

/// The commands and flags of the dialect, as the library that makes the scripts wants them.
fn definition(command: &Command, dialect: Dialect) -> clap::Command {
    let flags = command
        .flags
        .iter()
        .filter(|flag| flag.ours || flag.exists(dialect))
        .map(|flag| argument(flag, !command.below().is_empty()));
    let below = command
        .below()
        .iter()
        .filter(|below| below.exists(dialect) && !matches!(below.kind, CommandKind::Elsewhere))
        .map(|below| definition(below, dialect));
    let mut definition = clap::Command::new(command.name)
        .about(command.about)
        .args(flags)
        .subcommands(below);
    if command.arguments.contains('<') && command.below().is_empty() {
        definition = definition.arg(Arg::new("FILE").value_hint(clap::ValueHint::FilePath));
    }
    definition
}

fn argument(flag: &Flag, global: bool) -> Arg {
    let mut argument = Arg::new(flag.name)
        .long(flag.name)
        .help(flag.about)
        .global(global)
        .action(match flag.kind {
            Kind::Switch => ArgAction::SetTrue,
            _ => ArgAction::Set,
        });
    if let Some(short) = flag.short {
        argument = argument.short(short);
    }
    if flag.name == "write-out" {
        argument = argument.value_parser(["fields", "json", "protobuf", "simple", "table"]);
    }
    argument
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compat::dialect::Tool;

    #[test]
    fn every_dialect_can_be_completed() {
        for tool in [Tool::Etcdctl, Tool::Etcdutl] {
            for dialect in Dialect::ALL {
                definition(root(tool), dialect).debug_assert();
            }
        }
    }
}
