//! The chores of etcd-snap. One file a sub-command: its arguments and its `run`.

mod codegen;
mod etcd;
mod fixtures;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "The chores of etcd-snap",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    Codegen(codegen::Arguments),
    Etcd(etcd::Arguments),
    Fixtures(fixtures::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Codegen(arguments) => codegen::run(&arguments),
        Chore::Etcd(arguments) => etcd::run(&arguments),
        Chore::Fixtures(arguments) => fixtures::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
