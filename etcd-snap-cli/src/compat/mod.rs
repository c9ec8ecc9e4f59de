//! etcdctl and etcdutl, as scripts call them: their grammar, their texts and their exit codes around the same calls of the
//! library that our own commands make. Nothing outside of this module knows of dialects.

mod answers;
mod asking;
mod call;
mod commands;
mod connection;
mod dialect;
mod ended;
mod environment;
mod failure;
mod flags;
mod go;
mod locked;
mod log;
mod table;
mod tree;
mod usage;

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use call::{Call, print, print_aside};
use dialect::{Dialect, Tool};
use ended::{Ended, Result};
use tree::{CommandKind, Found};

use crate::{journal, render};

const VARIABLE: &str = "ETCD_SNAP_COMPAT";

/// A call in the words of another tool.
pub(crate) struct Invocation {
    tool: Tool,
    words: Vec<OsString>,
}

/// Whether we are called as one of etcd's tools, by our own name or by the first word.
pub(crate) fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Option<Invocation> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    let tool_of = |name: &OsStr| Tool::of(name.to_str()?);
    if let Some(tool) = Path::new(&program).file_name().and_then(tool_of) {
        return Some(Invocation {
            tool,
            words: arguments.collect(),
        });
    }
    let tool = tool_of(&arguments.next()?)?;
    Some(Invocation {
        tool,
        words: arguments.collect(),
    })
}

/// Does what the line says, and ends as the original would.
pub(crate) fn run(invocation: Invocation) -> ExitCode {
    match execute(invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            if let Some(text) = &ended.text {
                // Lines stay lines: what is wrong with a file can be a list.
                let visible = |line: &str| {
                    let cells: Vec<String> = line.split('\t').map(render::text::visible).collect();
                    cells.join("\t")
                };
                let lines: Vec<String> = text.split('\n').map(visible).collect();
                print_aside(format!("Error: {}", lines.join("\n")));
            }
            ExitCode::from(ended.code)
        }
    }
}

fn execute(invocation: Invocation) -> Result<()> {
    let Invocation { tool, mut words } = invocation;
    let dialect = choose_dialect(&mut words)?;
    require_api(tool, dialect, &words)?;
    let root = commands::root(tool);
    // `help snapshot save` is `snapshot save --help`.
    let first = tree::first_argument(&words, root.flags, dialect);
    if let Some(at) = first.filter(|at| words[*at] == "help") {
        words.remove(at);
        words.push("--help".into());
    }
    let found = tree::find(tool, dialect, root, &words);
    if let CommandKind::Elsewhere = found.command().kind {
        return Err(elsewhere(&found));
    }
    // What a group does not know is noticed before its flags are looked at, but only at the top.
    if found.path.len() == 1
        && let Some(at) = tree::first_argument(&found.words, found.command().flags, dialect)
    {
        return Err(unknown(&found, &found.words[at].to_string_lossy()));
    }
    let mut flags = found.flags();
    let arguments = flags
        .read(&found.words)
        .map_err(|why| refuse(&found, &why))?;
    if flags.switch("help") {
        return print(usage::help(&found));
    }
    let run = match found.command().kind {
        CommandKind::Run(run) => run,
        CommandKind::Group(_) | CommandKind::Elsewhere => return print(usage::help(&found)),
    };
    if let Some(expected) = found.command().exactly
        && arguments.len() != expected
    {
        let why = format!("accepts {expected} arg(s), received {}", arguments.len());
        return Err(refuse(&found, &why));
    }
    let missing: Vec<String> = found
        .command()
        .required
        .iter()
        .filter(|(name, since, until)| (*since..=*until).contains(&dialect) && !flags.changed(name))
        .map(|(name, _, _)| format!("\"{name}\""))
        .collect();
    if !missing.is_empty() {
        let why = format!("required flag(s) {} not set", missing.join(", "));
        return Err(refuse(&found, &why));
    }
    let log_file = flags.text("log-file");
    if !log_file.is_empty() {
        let path = Path::new(log_file);
        journal::open_file(path)
            .map_err(|failed| failure::stopped(failed, ended::ERROR, failure::sentence))?;
    }
    run(&Call {
        tool,
        dialect,
        command: found.name(),
        inherited: found.inherited(),
        flags,
        arguments,
    })
}

/// `--compat 3.5` anywhere before a `--`, or the variable; the newest, where neither says anything.
fn choose_dialect(words: &mut Vec<OsString>) -> Result<Dialect> {
    let mut chosen = env::var(VARIABLE).ok().filter(|value| !value.is_empty());
    let end = words.iter().position(|word| word == "--");
    let mut at = 0;
    while at < end.unwrap_or(words.len()).min(words.len()) {
        let word = words[at].to_string_lossy().into_owned();
        if word == "--compat" && at + 1 < words.len() {
            chosen = Some(words[at + 1].to_string_lossy().into_owned());
            words.drain(at..=at + 1);
        } else if let Some(value) = word.strip_prefix("--compat=") {
            chosen = Some(value.to_owned());
            words.remove(at);
        } else {
            at += 1;
        }
    }
    match chosen {
        None => Ok(Dialect::V3_7),
        Some(text) => Dialect::parse(&text).ok_or_else(|| {
            let known = Dialect::ALL.map(Dialect::minor).join(", ");
            Ended::error(format!(
                "there is no dialect {text:?}: --compat and {VARIABLE} take one of {known}"
            ))
        }),
    }
}

/// Until 3.5, etcdctl looks at the variable first of all.
fn require_api(tool: Tool, dialect: Dialect, words: &[OsString]) -> Result<()> {
    if tool != Tool::Etcdctl || dialect > Dialect::V3_5 {
        return Ok(());
    }
    match env::var("ETCDCTL_API").unwrap_or_default().as_str() {
        "" | "3" => Ok(()),
        "2" => {
            // The one thing that a script for backups meets there.
            let first = words
                .iter()
                .find(|word| !word.as_encoded_bytes().starts_with(b"-"));
            let topic = first.map(|word| word.to_string_lossy()).unwrap_or_default();
            print_aside(format!("No help topic for '{topic}'"));
            print_aside(
                "ETCDCTL_API=2 asks for the tool of etcd 2, which etcd-snap is not: unset it, or set it to 3",
            );
            Err(Ended::silent(ended::INVALID_INPUT))
        }
        other => {
            let colon = if dialect == Dialect::V3_4 { "" } else { ":" };
            print_aside(format!("unsupported API version{colon} {other}"));
            Err(Ended::silent(ended::ERROR))
        }
    }
}

fn elsewhere(found: &Found) -> Ended {
    let name = found.name();
    Ended::error(format!(
        "etcd-snap does not provide `{name}`, as it is about backups: {} of etcd does",
        found.tool.name()
    ))
}

/// A word that is no command.
fn unknown(found: &Found, word: &str) -> Ended {
    let name = found.name();
    let what = format!(
        "unknown command {} for {}",
        go::quote(word),
        go::quote(&name)
    );
    let suggestions = tree::suggestions(found, word);
    let mut whole = what.clone();
    if !suggestions.is_empty() {
        whole.push_str("\n\nDid you mean this?\n");
        for suggestion in suggestions {
            whole.push_str(&format!("\t{suggestion}\n"));
        }
    }
    print_aside(format!("Error: {whole}"));
    print_aside(format!("Run '{name} --help' for usage."));
    twice(found, whole)
}

/// What the grammar refuses, and how the command is called.
fn refuse(found: &Found, why: &str) -> Ended {
    print_aside(format!("Error: {why}"));
    let usage = usage::usage(found);
    if found.tool == Tool::Etcdctl && found.dialect <= Dialect::V3_6 {
        // Their own usage goes to standard output.
        let _ = print(usage);
        print_aside("");
    } else {
        print_aside(usage);
    }
    twice(found, why.to_owned())
}

fn twice(found: &Found, text: String) -> Ended {
    Ended {
        code: ended::ERROR,
        text: usage::says_twice(found.tool, found.dialect).then_some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(words: &[&str]) -> Option<(Tool, usize)> {
        invocation(words.iter().map(OsString::from)).map(|call| (call.tool, call.words.len()))
    }

    #[test]
    fn the_name_or_the_first_word_decides() {
        for (words, expected) in [
            (&["etcdctl", "get", "a"][..], Some((Tool::Etcdctl, 2))),
            (
                &["/usr/bin/etcdutl.exe", "version"],
                Some((Tool::Etcdutl, 1)),
            ),
            (
                &["etcd-snap", "etcdctl", "version"],
                Some((Tool::Etcdctl, 1)),
            ),
            (&["etcd-snap", "save", "etcdctl"], None),
            (&["etcd-snap"], None),
            (&[], None),
        ] {
            assert_eq!(called(words), expected, "{words:?}");
        }
    }
}
