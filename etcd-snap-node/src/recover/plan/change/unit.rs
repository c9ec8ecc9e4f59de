//! A unit: a drop-in that gives etcd another data directory in the way in which this unit gives it.
//!
//! * By a variable of the unit: `Environment=` once more, the last one counts.
//! * By a variable from a file: files beat `Environment=`, so one more file, the last one counts.
//! * By a flag: `ExecStart=` is emptied, and written again with the other value.

use std::path::{Path, PathBuf};

use super::{change, refused, text_of};
use crate::recover::FileChange;
use crate::recover::plan::PlanOptions;
use crate::systemd::{self, WrittenWord};
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
    let files = [unit_file].into_iter().chain(drop_ins);
    let texts = files.map(|file| root.read_text(file));
    match systemd::written_commands(&texts.collect::<Result<Vec<_>>>()?).as_slice() {
        [command] => Ok(command.clone()),
        [] => Err(refused("the unit has no ExecStart=")),
        several => Err(refused(&format!(
            "the unit has {} ExecStart= lines",
            several.len()
        ))),
    }
}

/// The line with another value of `--data-dir`: a word of its own, or the one behind it. Within the words of a shell, nobody knows
/// what a change means: there it is no word of its own.
pub(super) fn with_other_data_dir(line: &str, new: &str) -> Result<String> {
    let words = systemd::words_of(line)
        .ok_or_else(|| refused(&format!("a quotation has no end in ExecStart=: {line}")))?;
    let mut found = 0;
    let mut changed = Vec::new();
    let mut is_value = false;
    for WrittenWord { word, written } in words {
        let is_flag = matches!(word.as_str(), "--data-dir" | "-data-dir");
        if std::mem::replace(&mut is_value, is_flag) {
            is_value = false;
            found += 1;
            changed.push(new.to_owned());
            continue;
        }
        match word.split_once('=') {
            Some((flag @ ("--data-dir" | "-data-dir"), _)) => {
                found += 1;
                changed.push(format!("{flag}={new}"));
            }
            // As it is written: in its quotes, and with its escapes.
            _ => changed.push(written.to_owned()),
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
            (
                "etcd   '--listen-metrics-urls=a,  b'  --data-dir=/old \"--name=\\\"m\\\"\"",
                "etcd '--listen-metrics-urls=a,  b' --data-dir=/new \"--name=\\\"m\\\"\"",
            ),
            (
                "etcd --data-dir=/old \"--name='m 1\"",
                "etcd --data-dir=/new \"--name='m 1\"",
            ),
        ] {
            assert_eq!(with_other_data_dir(line, "/new").unwrap(), changed);
        }
        for line in [
            "/bin/sh -c \"exec etcd --data-dir=/old --name x\"",
            "/usr/bin/etcd",
            "etcd --data-dir=/a --data-dir=/b",
            "etcd --data-dir",
            "etcd --data-dir=/old \"--name=m1",
        ] {
            let found = with_other_data_dir(line, "/new");
            assert!(found.is_err(), "{line}: {found:?}");
        }
    }

    #[test]
    fn the_command_is_the_one_that_systemd_runs() {
        let unit = "[Unit]\nExecStart=no\n[Service]\n# x\nExecStart = /usr/bin/etcd \\\n  # --data-dir=/no\n  --data-dir=/old \\\n  --name m1\n\nUser=etcd\n";
        let drop_in = "[Service]\nExecStart=\nExecStart=/opt/etcd --data-dir=/old\n";
        let texts =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
        let commands = systemd::written_commands(&texts(&[unit]));
        let [command] = commands.as_slice() else {
            panic!("{commands:?}");
        };
        assert_eq!(
            with_other_data_dir(command, "/new").unwrap(),
            "/usr/bin/etcd --data-dir=/new --name m1"
        );
        assert_eq!(
            systemd::written_commands(&texts(&[unit, drop_in])),
            ["/opt/etcd --data-dir=/old"]
        );
    }
}
