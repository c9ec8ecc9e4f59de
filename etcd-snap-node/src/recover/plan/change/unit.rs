//! A unit: a drop-in that gives etcd another data directory in the way in which this unit gives it.
//!
//! * By a variable of the unit: `Environment=` once more, the last one counts.
//! * By a variable from a file: files beat `Environment=`, so one more file, the last one counts.
//! * By a flag: `ExecStart=` is emptied, and written again with the other value.
//!
//! Each of them needs the last word, and what comes of it is read as systemd reads it before anything is written.

use std::path::{Path, PathBuf};

use super::{change, refused, text_of};
use crate::recover::FileChange;
use crate::recover::plan::PlanOptions;
use crate::systemd::{self, WrittenWord};
use crate::{Etcd, Origin, Result, Root, RunBy, discover};

/// What a drop-in is called, with `.conf`, and its variables with `.env`: systemd applies drop-ins by the order of these names, whatever
/// the directory. The second is behind `override.conf`, which `systemctl edit` makes.
const STEMS: [&str; 2] = ["50-etcd-snap", "zz-etcd-snap"];
const HEAD: &str = "# Made by etcd-snap recover --new-data-dir. Without this file, etcd starts with its old data again.\n";

pub(super) fn changes(
    etcd: &Etcd,
    unit: &str,
    new: &Path,
    options: &PlanOptions,
) -> Result<Vec<FileChange>> {
    let new = text_of(new)?;
    let directory = PathBuf::from(format!("/etc/systemd/system/{unit}.d"));
    require_none_of_earlier(&directory, &options.root)?;
    let stem = stem_behind(etcd)?;
    let drop_in = directory.join(format!("{stem}.conf"));
    let variables = directory.join(format!("{stem}.env"));
    let from = etcd.settings.get("data-dir").map(|setting| &setting.from);
    let changes = match from {
        Some(Origin::Flag) => {
            let line = with_other_data_dir(&exec_start(etcd, &options.root)?, &new)?;
            let text = format!("{HEAD}[Service]\nExecStart=\nExecStart={line}\n");
            vec![change(&drop_in, None, text)]
        }
        Some(Origin::Variable {
            name,
            file: Some(_),
        }) => {
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
    };
    require_new(unit, &changes, Path::new(&new), &options.root)?;
    Ok(changes)
}

fn require_none_of_earlier(directory: &Path, root: &Root) -> Result<()> {
    let names = STEMS.map(|stem| [format!("{stem}.conf"), format!("{stem}.env")]);
    let mut files = names.iter().flatten().map(|name| directory.join(name));
    match files.find(|file| root.exists(file)) {
        None => Ok(()),
        Some(file) => Err(refused(&format!(
            "{} is there already, from an earlier recovery to a new directory",
            file.display()
        ))
        .with_path(file)),
    }
}

/// The name that comes after those of all drop-ins that the unit has. Where none does, the last one: what is behind it may be about something
/// else, and what comes of it all is looked at.
fn stem_behind(etcd: &Etcd) -> Result<&'static str> {
    let RunBy::Systemd { drop_ins, .. } = &etcd.run_by else {
        return Err(refused("it is not started by a unit"));
    };
    let [first, behind] = STEMS;
    let last = drop_ins.iter().filter_map(|path| path.file_name()).max();
    let name = format!("{first}.conf");
    let is_enough = last.is_none_or(|last| last < name.as_str());
    Ok(if is_enough { first } else { behind })
}

/// What systemd makes of it all. A variable can be unset by the unit, and a container may not see the directory.
fn require_new(unit: &str, changes: &[FileChange], new: &Path, root: &Root) -> Result<()> {
    let coming = changes.iter();
    let coming: Vec<_> = coming
        .map(|it| (it.path.clone(), it.after.clone()))
        .collect();
    let found = discover::of_unit_with(root, unit, &coming).map(|etcd| etcd.data_dir);
    let why = match &found {
        Some(place) if place.host.as_deref() == Some(new) => return Ok(()),
        Some(place) if place.path == new => format!(
            "{unit} would still not use {} with a drop-in: its container does not see that directory",
            new.display()
        ),
        Some(place) => format!(
            "{unit} would still use {} with a drop-in that says otherwise",
            place.path.display()
        ),
        None => format!("what {unit} would start with a drop-in is not known"),
    };
    Err(refused(&why))
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
    use crate::DiscoverOptions;
    use crate::ErrorKind;
    use crate::recover::plan::sample::Machine;

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

    const NEW: &str = "/var/lib/new";
    const DROP_INS: &str = "/etc/systemd/system/etcd.service.d";
    const BY_FLAG: &str = "[Service]\nExecStart=/usr/bin/etcd --data-dir=/var/lib/etcd\n";
    const BY_VARIABLE: &str = "[Service]\nExecStart=/usr/bin/etcd\n";

    /// A machine with this unit and these drop-ins, as it is discovered.
    fn machine(unit: &str, drop_ins: &[(&str, &str)]) -> Machine {
        let mut machine = Machine::systemd();
        machine.put("/usr/lib/systemd/system/etcd.service", unit);
        machine.put("/etc/default/etcd", "ETCD_DATA_DIR=/var/lib/etcd\n");
        for (name, text) in drop_ins {
            machine.put(&format!("{DROP_INS}/{name}"), text);
        }
        machine.node = discovered(&machine);
        machine
    }

    fn discovered(machine: &Machine) -> crate::Node {
        let root = Root::new(machine.folder.path());
        discover(&DiscoverOptions::default().with_root(root)).unwrap()
    }

    fn planned(machine: &mut Machine) -> Result<Vec<FileChange>> {
        let options = machine.options();
        changes(machine.etcd(), "etcd.service", Path::new(NEW), &options)
    }

    #[test]
    fn a_drop_in_has_the_last_word() {
        let by_flag = "[Service]\nExecStart=\nExecStart=/opt/etcd --data-dir=/var/lib/etcd\n";
        let by_variable = "[Service]\nEnvironment=ETCD_DATA_DIR=/var/lib/etcd\n";
        let by_file = "[Service]\nEnvironmentFile=/etc/default/etcd\n";
        let of_limits = "[Service]\nLimitNOFILE=65536\n";
        for (unit, drop_ins, files) in [
            (BY_FLAG, vec![], vec!["50-etcd-snap.conf"]),
            (
                BY_FLAG,
                vec![("10-flags.conf", by_flag)],
                vec!["50-etcd-snap.conf"],
            ),
            // Of a generator that knows nothing of etcd.
            (
                BY_FLAG,
                vec![("zzz-lxc.conf", of_limits)],
                vec!["zz-etcd-snap.conf"],
            ),
            // What `systemctl edit` makes.
            (
                BY_FLAG,
                vec![("override.conf", by_flag)],
                vec!["zz-etcd-snap.conf"],
            ),
            (
                BY_VARIABLE,
                vec![("override.conf", by_variable)],
                vec!["zz-etcd-snap.conf"],
            ),
            (
                BY_VARIABLE,
                vec![("override.conf", by_file)],
                vec!["zz-etcd-snap.env", "zz-etcd-snap.conf"],
            ),
            (
                BY_VARIABLE,
                vec![("10-file.conf", by_file)],
                vec!["50-etcd-snap.env", "50-etcd-snap.conf"],
            ),
            (
                BY_VARIABLE,
                vec![("10-data.conf", by_variable), ("60-limits.conf", of_limits)],
                vec!["zz-etcd-snap.conf"],
            ),
        ] {
            let mut machine = machine(unit, &drop_ins);
            let made = planned(&mut machine).unwrap();
            let names: Vec<_> = made.iter().map(|it| it.path.file_name().unwrap()).collect();
            assert_eq!(names, files, "{drop_ins:?}");
            for change in &made {
                machine.put(change.path.to_str().unwrap(), &change.after);
            }
            let etcd = &discovered(&machine).etcds[0];
            assert_eq!(etcd.data_dir.path, Path::new(NEW), "{drop_ins:?}");
        }
    }

    #[test]
    fn a_drop_in_that_would_change_nothing_is_refused() {
        let unset = format!("{BY_VARIABLE}UnsetEnvironment=ETCD_DATA_DIR\n");
        let container = "[Service]\nExecStart=/usr/bin/docker run -v /var/lib/etcd:/var/lib/etcd quay.io/coreos/etcd:v3.5.7 etcd \
                         --data-dir=/var/lib/etcd\n";
        let empty = "[Service]\n";
        for (unit, drop_ins, words) in [
            (
                BY_FLAG,
                vec![(
                    "zzz.conf",
                    "[Service]\nExecStart=\nExecStart=/opt/etcd --data-dir=/var/lib/etcd\n",
                )],
                "etcd.service would still",
            ),
            (
                BY_FLAG,
                vec![("zz-etcd-snap.conf", empty)],
                "an earlier recovery",
            ),
            (
                BY_FLAG,
                vec![("50-etcd-snap.conf", empty), ("override.conf", empty)],
                "an earlier recovery",
            ),
            (unset.as_str(), vec![], "etcd.service would still"),
            (container, vec![], "etcd.service would still"),
        ] {
            let mut machine = machine(unit, &drop_ins);
            let error = planned(&mut machine).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.remedy().is_some(), "{error}");
        }
    }
}
