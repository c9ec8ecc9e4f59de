//! A unit: a drop-in that gives etcd another data directory in the way in which this unit gives it.
//!
//! * By a variable of the unit: `Environment=` once more, the last one counts.
//! * By a variable from a file: files beat `Environment=`, so one more file, the last one counts.
//! * By a flag: `ExecStart=` is emptied, and written again with the other value.

use std::path::{Path, PathBuf};

use super::{change, refused, text_of};
use crate::recover::FileChange;
use crate::recover::plan::PlanOptions;
use crate::{Etcd, Origin, Result, Root, RunBy};

/// Behind most others, and before what an administrator wants to have the last word.
const NAME: &str = "50-etcd-snap.conf";
const VARIABLES: &str = "50-etcd-snap.env";
const HEAD: &str = "# Made by etcd-snap recover --new-data-dir. Without this file, etcd starts with its old data again.\n";

pub(super) fn changes(
    etcd: &Etcd,
    unit: &str,
    new: &Path,
    options: &PlanOptions,
) -> Result<Vec<FileChange>> {
    let new = text_of(new)?;
    let directory = PathBuf::from(format!("/etc/systemd/system/{unit}.d"));
    let drop_in = directory.join(NAME);
    for file in [&drop_in, &directory.join(VARIABLES)] {
        if options.root.exists(file) {
            return Err(refused(&format!(
                "{} is there already, from an earlier recovery to a new directory",
                file.display()
            ))
            .with_path(file));
        }
    }
    let from = etcd.settings.get("data-dir").map(|setting| &setting.from);
    Ok(match from {
        Some(Origin::Flag) => {
            let line = with_other_data_dir(&exec_start(etcd, &options.root)?, &new)?;
            let text = format!("{HEAD}[Service]\nExecStart=\nExecStart={line}\n");
            vec![change(&drop_in, None, text)]
        }
        Some(Origin::Variable {
            name,
            file: Some(_),
        }) => {
            let variables = directory.join(VARIABLES);
            let text = format!("{HEAD}[Service]\nEnvironmentFile={}\n", variables.display());
            vec![
                change(&variables, None, format!("{name}={new}\n")),
                change(&drop_in, None, text),
            ]
        }
        Some(Origin::Variable { name, file: None }) => {
            let text = format!("{HEAD}[Service]\nEnvironment={name}={new}\n");
            vec![change(&drop_in, None, text)]
        }
        // Its default, below the working directory.
        None => {
            let text = format!("{HEAD}[Service]\nEnvironment=ETCD_DATA_DIR={new}\n");
            vec![change(&drop_in, None, text)]
        }
        Some(Origin::ConfigFile) => {
            return Err(refused("the data directory is set in a configuration file"));
        }
    })
}

/// What the unit and its drop-ins come to, as it is written there: nothing expanded.
fn exec_start(etcd: &Etcd, root: &Root) -> Result<String> {
    let RunBy::Systemd {
        unit_file,
        drop_ins,
        ..
    } = &etcd.run_by
    else {
        return Err(refused("it is not started by a unit"));
    };
    let mut last = None;
    for file in [unit_file].into_iter().chain(drop_ins) {
        for line in service_lines(&root.read_text(file)?) {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            if key.trim() == "ExecStart" {
                last = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            }
        }
    }
    last.ok_or_else(|| refused("the unit has no ExecStart="))
}

/// The lines of the section, with continued ones joined, and comments left out.
fn service_lines(text: &str) -> Vec<String> {
    let (mut lines, mut section, mut joined) = (Vec::new(), String::new(), String::new());
    for line in text.lines() {
        let is_comment = line.trim_start().starts_with(['#', ';']);
        if is_comment || (joined.is_empty() && line.trim().is_empty()) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            joined.push_str(begun.trim());
            joined.push(' ');
            continue;
        }
        joined.push_str(line.trim());
        let line = std::mem::take(&mut joined);
        match line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            Some(name) => section = name.to_owned(),
            None if section == "Service" => lines.push(line),
            None => {}
        }
    }
    lines
}

/// The line with another value of `--data-dir`: a word of its own, or the one behind it.
fn with_other_data_dir(line: &str, new: &str) -> Result<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = 0;
    let mut changed: Vec<String> = Vec::new();
    let mut is_value = false;
    let mut is_quoted = false;
    for word in words {
        // Within the words of a shell, nobody knows what a change means.
        let began = is_quoted;
        let quotes = word.chars().filter(|it| "\"'".contains(*it)).count();
        is_quoted ^= quotes % 2 == 1;
        if began || is_quoted {
            changed.push(word.to_owned());
            continue;
        }
        let plain = word.trim_matches(['"', '\'']);
        let is_whole = word == plain || word.len() == plain.len() + 2;
        if std::mem::take(&mut is_value) && is_whole {
            found += 1;
            changed.push(new.to_owned());
            continue;
        }
        match plain.split_once('=') {
            Some((flag @ ("--data-dir" | "-data-dir"), _)) if is_whole => {
                found += 1;
                changed.push(format!("{flag}={new}"));
            }
            _ => {
                is_value = matches!(plain, "--data-dir" | "-data-dir") && is_whole;
                changed.push(word.to_owned());
            }
        }
    }
    match found {
        1 => Ok(changed.join(" ")),
        found => Err(refused(&format!(
            "--data-dir is {} in ExecStart=: {line}",
            match found {
                0 => "no word of its own",
                _ => "there several times",
            }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_of_the_flag_changes() {
        for (line, changed) in [
            (
                "/usr/bin/etcd --name %H --data-dir=/var/lib/etcd --listen-peer-urls=${URLS}",
                "/usr/bin/etcd --name %H --data-dir=/new --listen-peer-urls=${URLS}",
            ),
            (
                "-/usr/bin/etcd -data-dir /old $X",
                "-/usr/bin/etcd -data-dir /new $X",
            ),
            ("etcd \"--data-dir=/old\"", "etcd --data-dir=/new"),
            ("etcd --data-dir '${DIR}'", "etcd --data-dir /new"),
        ] {
            assert_eq!(with_other_data_dir(line, "/new").unwrap(), changed);
        }
        for line in [
            "/bin/sh -c \"exec etcd --data-dir=/old --name x\"",
            "/usr/bin/etcd",
            "etcd --data-dir=/a --data-dir=/b",
            "etcd --data-dir",
        ] {
            let found = with_other_data_dir(line, "/new");
            assert!(found.is_err(), "{line}: {found:?}");
        }
    }

    #[test]
    fn continued_lines_are_one_and_comments_between_are_none() {
        let text = "[Unit]\nExecStart=no\n[Service]\n# x\nExecStart=/usr/bin/etcd \\\n  # --data-dir=/no\n  --data-dir=/old \\\n  --name m1\n\nUser=etcd\n";
        assert_eq!(
            service_lines(text),
            [
                "ExecStart=/usr/bin/etcd --data-dir=/old --name m1",
                "User=etcd"
            ]
        );
    }
}
