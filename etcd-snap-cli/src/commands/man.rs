//! `etcd-snap man`: the manual.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::arguments;
use crate::failure::{Failure, Result};
use crate::render;

/// Print the manual page, or write the pages of all commands
#[derive(Debug, Args)]
#[command(after_help = "\
Without DIR, the page etcd-snap(1) goes to standard output. With it, that page and one of each command, such as \
etcd-snap-save(1), are written into the directory, and replace what is there of the same name.

Examples:
  etcd-snap man | man -l -

  etcd-snap man /usr/local/share/man/man1")]
pub(crate) struct Arguments {
    /// A directory that exists
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let command = arguments::Arguments::command();
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .map_err(|error| Failure::System {
                doing: "print the manual",
                error,
            })?;
        return render::print_text(&page);
    };
    clap_mangen::generate_to(command, directory).map_err(|error| Failure::File {
        doing: "write the manual into",
        path: directory.clone(),
        error,
    })
}
