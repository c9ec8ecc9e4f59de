//! The command line as a whole, and what all commands share.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{restore, save, status, verify};
use crate::exit;
use crate::render::WriteOut;

#[derive(Debug, Parser)]
#[command(
    name = "etcd-snap",
    version,
    about = "Takes, proves and restores snapshots of etcd",
    after_help = exit::HELP,
    disable_help_flag = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Task,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Print help
    // The short form for both: the long one has a blank line behind every flag, and one page becomes three.
    #[arg(short, long, global = true, action = ArgAction::HelpShort, help_heading = "Output")]
    help: Option<bool>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    Save(save::Arguments),
    Verify(verify::Arguments),
    Status(status::Arguments),
    Restore(restore::Arguments),
}

/// How to say it.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Form of the report
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        env = "ETCDCTL_WRITE_OUT",
        hide_env_values = true,
        help_heading = "Output"
    )]
    pub(crate) write_out: WriteOut,
    /// No progress, no notes
    #[arg(short, long, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Reads the command line and the environment.
pub(crate) fn parse() -> Result<Arguments, clap::Error> {
    let mut command = command();
    let read = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    read.map_err(|error| name_variable(error, &command))
}

/// An empty variable counts as unset, as for etcdctl.
fn command() -> Command {
    without_empty_variables(Arguments::command())
}

fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let empty = arg
                .get_env()
                .and_then(std::env::var_os)
                .is_some_and(|value| value.is_empty());
            if empty { arg.env(None::<&str>) } else { arg }
        })
        .mut_subcommands(without_empty_variables)
}

/// A wrong value that nobody typed needs the name of the variable it came from.
fn name_variable(error: clap::Error, command: &Command) -> clap::Error {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::InvalidValue),
    ) else {
        return error;
    };
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return error;
    }
    let variable = command
        .get_subcommands()
        .chain([command])
        .flat_map(Command::get_arguments)
        .filter(|arg| {
            arg.get_long()
                .is_some_and(|long| flag.contains(&format!("--{long} ")))
        })
        .filter_map(clap::Arg::get_env)
        .find(|name| std::env::var_os(name).is_some_and(|set| set == value.as_str()));
    let Some(variable) = variable else {
        return error;
    };
    if std::env::args().any(|argument| flag.split(' ').next() == Some(argument.as_str())) {
        return error;
    }
    let note = format!("the value is from the variable {}", variable.display());
    let mut error = error;
    error.insert(
        ContextKind::Suggested,
        ContextValue::StyledStrs(vec![note.into()]),
    );
    error
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
