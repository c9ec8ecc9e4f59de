//! The chores of etcd-snap. One file a sub-command: its arguments and its `run`.

mod bench;
mod codegen;
mod corpus;
mod database;
mod demo;
mod dist;
mod etcd;
mod fixtures;
mod fuzz;
mod protoc;
mod test;

use std::path::PathBuf;
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
    Bench(bench::Arguments),
    Codegen(codegen::Arguments),
    Corpus(corpus::Arguments),
    Database(database::Arguments),
    Demo(demo::Arguments),
    Dist(dist::Arguments),
    Etcd(etcd::Arguments),
    Fixtures(fixtures::Arguments),
    Fuzz(fuzz::Arguments),
    Protoc(protoc::Arguments),
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Codegen(arguments) => codegen::run(&arguments),
        Chore::Corpus(arguments) => corpus::run(&arguments),
        Chore::Database(arguments) => database::run(&arguments),
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Dist(arguments) => dist::run(&arguments),
        Chore::Etcd(arguments) => etcd::run(&arguments),
        Chore::Fixtures(arguments) => fixtures::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Protoc(arguments) => protoc::run(&arguments),
        Chore::Test(arguments) => test::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(stopped) = error.downcast_ref::<demo::Stopped>() {
        eprintln!("{stopped}");
        return ExitCode::from(stopped.exit_code());
    }
    if !error.is::<demo::NoReader>() {
        eprintln!("error: {error:#}");
    }
    ExitCode::FAILURE
}

/// The workspace's folder.
fn workspace() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
