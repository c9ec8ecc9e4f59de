//! Help, in the layout of the original and in our own words.

use std::fmt::Write as _;

use super::dialect::{Dialect, Tool};
use super::flags::{Flag, Kind};
use super::tree::{Command, CommandKind, Found, HELP};

/// What the tool is, above everything.
fn about(tool: Tool) -> &'static str {
    match tool {
        Tool::Etcdctl => "etcd-snap in the place of etcdctl: what backups need of it.",
        Tool::Etcdutl => {
            "etcd-snap in the place of etcdutl: snapshots and data directories, offline."
        }
    }
}

/// What `--help` prints of a command.
pub(crate) fn help(found: &Found) -> String {
    let head = match found.path.len() {
        1 => about(found.tool),
        _ => found.command().about,
    };
    format!("{head}\n\n{}", usage(found))
}

/// What follows an error that the grammar makes.
pub(crate) fn usage(found: &Found) -> String {
    let command = found.command();
    let name = found.name();
    let mut text = String::from("Usage:\n");
    if !command.is_group() {
        let _ = writeln!(text, "  {}", line(&name, command));
    }
    let children: Vec<&Command> = found
        .children()
        .filter(|command| !matches!(command.kind, CommandKind::Elsewhere))
        .collect();
    if !children.is_empty() {
        let _ = writeln!(text, "  {name} [command]\n\nAvailable Commands:");
        let width = children.iter().map(|child| child.name.len()).max();
        let width = width.unwrap_or_default().max(11);
        for child in children {
            let _ = writeln!(text, "  {:width$} {}", child.name, child.about);
        }
    }
    let exists = |flag: &&Flag| flag.ours || flag.exists(found.dialect);
    let mut own: Vec<Flag> = command.flags.iter().filter(exists).copied().collect();
    own.push(HELP);
    text.push_str("\nFlags:\n");
    text.push_str(&list(own));
    let inherited = found.inherited();
    if !inherited.is_empty() {
        text.push_str("\nGlobal Flags:\n");
        text.push_str(&list(inherited));
    }
    if !command.below().is_empty() {
        let _ = writeln!(
            text,
            "\nUse \"{name} [command] --help\" for more information about a command."
        );
    }
    text
}

fn line(name: &str, command: &Command) -> String {
    match command.arguments {
        "" => format!("{name} [flags]"),
        arguments => format!("{name} {arguments} [flags]"),
    }
}

pub(crate) fn list(mut flags: Vec<Flag>) -> String {
    flags.sort_by_key(|flag| flag.name);
    let heads: Vec<String> = flags.iter().map(head).collect();
    let width = heads.iter().map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for (flag, head) in flags.iter().zip(heads) {
        let _ = write!(text, "{head:width$}   {}", flag.about);
        match (flag.kind, flag.default) {
            (_, "" | "0" | "false") => {}
            (Kind::Text, default) => {
                let _ = write!(text, " (default {default:?})");
            }
            (Kind::List, default) => {
                let _ = write!(text, " (default [{default}])");
            }
            (_, default) => {
                let _ = write!(text, " (default {default})");
            }
        }
        text.push('\n');
    }
    text
}

fn head(flag: &Flag) -> String {
    let kind = match flag.kind {
        Kind::Switch => "",
        Kind::Text => " string",
        Kind::List => " strings",
        Kind::Time => " duration",
        Kind::Int => " int",
        Kind::Uint => " uint",
    };
    match flag.short {
        Some(short) => format!("  -{short}, --{}{kind}", flag.name),
        None => format!("      --{}{kind}", flag.name),
    }
}

/// The tools up to 3.6 print what is wrong twice: the library that parses the line, and the tool itself.
pub(crate) fn says_twice(tool: Tool, dialect: Dialect) -> bool {
    tool == Tool::Etcdutl || dialect <= Dialect::V3_5
}
