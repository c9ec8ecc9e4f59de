//! `--new-data-dir`: what starts etcd is changed, in one place, to use another directory.
//!
//! A manifest keeps its `--data-dir` and `mountPath`: one of three paths is enough, and three of them go wrong in six ways. A packaged unit is
//! never touched: a drop-in beside it says what differs.

mod diff;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzed;
mod manifest;
mod unit;
mod yaml;

use std::path::Path;

use super::PlanOptions;
use crate::recover::FileChange;
use crate::{Error, ErrorKind, Etcd, Finding, Origin, Result, RunBy};

pub(super) use diff::diff;

/// What changes, and what is to be known of it.
pub(super) fn changes(
    etcd: &Etcd,
    new: &Path,
    options: &PlanOptions,
) -> Result<(Vec<FileChange>, Vec<Finding>)> {
    match &etcd.run_by {
        RunBy::StaticPod {
            manifest, mounts, ..
        } => {
            let change = manifest::change_of(etcd, manifest, mounts, new, &options.root)?;
            let finding = may_come_back(
                manifest,
                "a later `kubeadm upgrade`, or whatever else writes the manifest anew, may",
                etcd,
            );
            Ok((vec![change], vec![finding]))
        }
        RunBy::Systemd { unit, .. } if sets_in_config_file(etcd) => {
            let change = of_config_file(etcd, new, options)?;
            let what = format!(
                "the next version of the package of {unit}, or whoever manages the file, may"
            );
            let finding = may_come_back(&change.path, &what, etcd);
            Ok((vec![change], vec![finding]))
        }
        RunBy::Systemd { unit, .. } => {
            let changes = unit::changes(etcd, unit, new, options)?;
            let at = changes.last().map(|it| it.path.clone()).unwrap_or_default();
            let finding = Finding::warning(
                "old-data-dir-may-return",
                format!(
                    "{} makes {unit} use the new directory: where a later version of the package, or whoever manages the machine, takes it \
                     away, etcd starts with the old data in {}",
                    at.display(),
                    etcd.data_dir.path.display()
                ),
            )
            .with_remedy("without --new-data-dir the member is swapped in place, and nothing can bring the old data back")
            .at(at);
            Ok((changes, vec![finding]))
        }
        _ => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "what starts {} cannot be changed to another data directory",
                etcd.title()
            ),
        )
        .with_remedy("leave --new-data-dir out: the member is swapped in place then")),
    }
}

fn may_come_back(file: &Path, who: &str, etcd: &Etcd) -> Finding {
    let old = etcd.data_dir.host.as_deref().unwrap_or(&etcd.data_dir.path);
    Finding::warning(
        "old-data-dir-may-return",
        format!(
            "{who} bring the old path back into {}, and etcd starts with the old data in {} then",
            file.display(),
            old.display()
        ),
    )
    .with_remedy("without --new-data-dir the member is swapped in place, and nothing can bring the old data back")
    .at(file)
}

fn sets_in_config_file(etcd: &Etcd) -> bool {
    etcd.config_file.is_some()
        || etcd
            .settings
            .get("data-dir")
            .is_some_and(|setting| setting.from == Origin::ConfigFile)
}

/// The file alone counts, and is no unit: the administrator's own, as a rule.
fn of_config_file(etcd: &Etcd, new: &Path, options: &PlanOptions) -> Result<FileChange> {
    let file = etcd.config_file.as_ref().and_then(|it| it.host.as_ref());
    let file = file.ok_or_else(|| {
        refused("the configuration file is nowhere on the machine, so that it cannot be changed")
    })?;
    if file.starts_with("/usr") || file.starts_with("/lib") {
        return Err(refused(&format!(
            "{} belongs to a package, which would replace what is changed there",
            file.display()
        )));
    }
    let before = options.root.read_text(file)?;
    let path = [yaml::Step::Key("data-dir")];
    let after = yaml::set_scalar(&before, &path, &text_of(new)?)
        .map_err(|why| cannot_edit(file, "data-dir", &why))?;
    Ok(change(file, Some(before), after))
}

fn change(path: &Path, before: Option<String>, after: String) -> FileChange {
    FileChange {
        diff: diff(path, before.as_deref(), &after),
        path: path.to_owned(),
        before,
        after,
    }
}

fn refused(sentence: &str) -> Error {
    Error::new(ErrorKind::Refused, sentence)
        .with_remedy("leave --new-data-dir out: the member is swapped in place then")
}

fn cannot_edit(file: &Path, what: &str, why: &str) -> Error {
    refused(&format!(
        "{what} in {} cannot be changed without touching anything else: {why}",
        file.display()
    ))
    .with_path(file)
}

/// A path that means the same in YAML, in an environment file and in a command line, quoted or not.
fn text_of(path: &Path) -> Result<String> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-+@".contains(it);
    match path.to_str() {
        Some(text) if text.chars().all(plain) => Ok(text.to_owned()),
        _ => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{} would have to be quoted where it is written to: use letters, digits and . _ - + @ only",
                path.display()
            ),
        )),
    }
}
