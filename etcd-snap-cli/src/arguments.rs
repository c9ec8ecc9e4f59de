//! The command line as a whole, and what all commands share.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    completion, defrag, discover, doctor, drill, hashkv, man, recover, restore, save, squeeze,
    status, verify,
};
use crate::exit;
use crate::journal::LogFormat;
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
    Hashkv(hashkv::Arguments),
    Restore(Box<restore::Arguments>),
    Defrag(defrag::Arguments),
    Squeeze(squeeze::Arguments),
    Discover(discover::Arguments),
    Drill(Box<drill::Arguments>),
    Recover(Box<recover::Arguments>),
    Doctor(Box<doctor::Arguments>),
    Completion(completion::Arguments),
    Man(man::Arguments),
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
    /// Say of every step when it begins and what it took
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "quiet",
        help_heading = "Output"
    )]
    pub(crate) verbose: bool,
    /// Append what is said to this file too, with the time
    #[arg(long, global = true, value_name = "LOG", help_heading = "Output")]
    pub(crate) log_file: Option<PathBuf>,
    /// Form of what is said beside the report
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORM",
        help_heading = "Output"
    )]
    pub(crate) log_format: LogFormat,
}

/// Variables that say where a member is, and with which certificates it is asked.
const OF_OTHER_MEMBERS: [&str; 9] = [
    "ETCDCTL_ENDPOINTS",
    "ETCDCTL_DISCOVERY_SRV",
    "ETCDCTL_DISCOVERY_SRV_NAME",
    "ETCDCTL_INSECURE_DISCOVERY",
    "ETCDCTL_CACERT",
    "ETCDCTL_CERT",
    "ETCDCTL_KEY",
    "ETCDCTL_INSECURE_SKIP_TLS_VERIFY",
    "ETCDCTL_INSECURE_TRANSPORT",
];

/// Reads the command line and the environment.
pub(crate) fn parse() -> Result<Arguments, clap::Error> {
    // An empty variable counts as unset, as for etcdctl.
    let mut command = without_variables(Arguments::command(), |value| value.is_empty());
    // Who asks nobody is not to fail for a variable that is about asking.
    for (name, flags) in [
        ("verify", &["--against"][..]),
        ("doctor", &["--endpoints", "--discovery-srv", "-d"]),
        ("restore", &["--endpoints", "--discovery-srv", "-d"]),
        ("drill", &["--endpoints", "--discover", "-d"]),
    ] {
        let asks = |argument: std::ffi::OsString| {
            let argument = argument.as_encoded_bytes();
            flags
                .iter()
                .any(|flag| argument.starts_with(flag.as_bytes()))
        };
        if !std::env::args_os().any(asks) {
            command = command.mut_subcommand(name, |command| without_variables(command, |_| true));
        }
    }
    // Where all that leads to a member is found on the node, what is set for another one does not lead there.
    if std::env::args_os().any(|argument| argument == "--discover") {
        for name in ["save", "drill"] {
            command = command.mut_subcommand(name, |command| {
                command.mut_args(|arg| match arg.get_env() {
                    Some(variable) if OF_OTHER_MEMBERS.iter().any(|it| variable == *it) => {
                        arg.env(None::<&str>)
                    }
                    _ => arg,
                })
            });
        }
    }
    command
        .try_get_matches_from(std::env::args_os())
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(name_variable)
}

fn without_variables(command: Command, unwanted: fn(&OsStr) -> bool) -> Command {
    let change = move |arg: Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| unwanted(&value)) {
            arg.env(None::<&str>)
        } else {
            arg
        }
    };
    command
        .mut_args(change)
        .mut_subcommands(move |command| without_variables(command, unwanted))
}

/// A wrong value that nobody typed needs the name of the variable it came from.
fn name_variable(mut error: clap::Error) -> clap::Error {
    let Some((flag, value)) = wrong_value(&error) else {
        return error;
    };
    let typed = without_variables(Arguments::command(), |_| true)
        .try_get_matches_from(std::env::args_os())
        .is_err_and(|error| wrong_value(&error).is_some());
    let command = Arguments::command();
    let variable = command
        .get_subcommands()
        .chain([&command])
        .flat_map(Command::get_arguments)
        .filter(|arg| {
            arg.get_long().is_some_and(|long| {
                flag.starts_with(&format!("--{long} ")) || flag.starts_with(&format!("--{long}["))
            })
        })
        .filter_map(Arg::get_env)
        .find(|name| std::env::var_os(name).is_some_and(|set| set == value.as_str()));
    if let (Some(variable), false) = (variable, typed) {
        let note = format!("the value is from the variable {}", variable.display());
        let note = ContextValue::StyledStrs(vec![note.into()]);
        error.insert(ContextKind::Suggested, note);
    }
    error
}

fn wrong_value(error: &clap::Error) -> Option<(String, String)> {
    match (
        error.kind(),
        error.get(ContextKind::InvalidArg)?,
        error.get(ContextKind::InvalidValue)?,
    ) {
        (
            ErrorKind::ValueValidation | ErrorKind::InvalidValue,
            ContextValue::String(flag),
            ContextValue::String(value),
        ) => Some((flag.clone(), value.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_examples_in_the_help_can_be_typed() {
        let command = without_variables(Arguments::command(), |_| true);
        for subcommand in command.get_subcommands() {
            let help = subcommand.get_after_help().expect("help").to_string();
            let (_, examples) = help.split_once("Examples:\n").expect("examples");
            for example in examples.replace("\\\n", " ").lines() {
                let words = example
                    .split_whitespace()
                    .map(|word| word.trim_matches('\''))
                    .skip_while(|word| *word != "etcd-snap")
                    .take_while(|word| !matches!(*word, "|" | ">"));
                let read = command.clone().try_get_matches_from(words);
                assert!(example.is_empty() || read.is_ok(), "{example}: {read:?}");
            }
        }
    }
}
