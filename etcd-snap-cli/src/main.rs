//! The `etcd-snap` command: parses arguments, shows progress, prints reports, maps errors to exit codes.
//!
//! What it does is in the library; here is only what a person or a script sees of it.

mod arguments;
mod commands;
mod compat;
mod connection;
mod exit;
mod failure;
mod interrupt;
mod journal;
mod metrics;
mod on_node;
mod progress;
mod prompt;
mod render;
mod standard;
mod steps;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(invocation) = compat::invocation(std::env::args_os()) {
        return compat::run(invocation);
    }
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // Nobody is left to tell when this fails.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match commands::run(&arguments) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            journal::failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}
