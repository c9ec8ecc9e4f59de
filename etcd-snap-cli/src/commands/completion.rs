//! `etcd-snap completion`: what makes a shell complete the command line.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::arguments;
use crate::failure::Result;
use crate::render;

/// Print a script that makes a shell complete our command line
#[derive(Debug, Args)]
#[command(after_help = "\
The script is for the etcd-snap that prints it: print it again after an update.

Examples:
  etcd-snap completion bash \\
    > /etc/bash_completion.d/etcd-snap

  etcd-snap completion zsh \\
    > /usr/share/zsh/site-functions/_etcd-snap

  etcd-snap completion fish \\
    > ~/.config/fish/completions/etcd-snap.fish

  etcd-snap completion powershell | Out-String")]
pub(crate) struct Arguments {
    /// Whose script
    #[arg(value_enum)]
    shell: For,
}

/// The shells that we speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let shell = match arguments.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
        For::Powershell => Shell::PowerShell,
    };
    render::print_text(script(shell).as_bytes())
}

fn script(shell: Shell) -> String {
    let mut command = arguments::Arguments::command();
    let name = command.get_name().to_owned();
    // Its scripts for bash lose the flags of a command below a name with a hyphen.
    let without_hyphen = name.replace('-', "_");
    let generated_for = match shell {
        Shell::Bash => &without_hyphen,
        _ => &name,
    };
    // Into memory: it does not expect writing to fail.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, generated_for, &mut script);
    let script = String::from_utf8_lossy(&script);
    script.replace(
        &format!(" -o default {without_hyphen}\n"),
        &format!(" -o default {name}\n"),
    )
}
