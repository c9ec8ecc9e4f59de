//! The variables of a service: `Environment=`, then the files, whatever the order in which they stand.

use std::path::{Path, PathBuf};

use super::Reader;
use crate::invocation::Variable;
use crate::systemd::words::{self, Escapes, Unbalanced};
use crate::systemd::{containers, environment_file};
use crate::{Finding, Root};

impl Reader<'_> {
    pub(super) fn read_environment(&mut self) {
        for line in std::mem::take(&mut self.settings.environment) {
            let mut rest = line.as_str();
            loop {
                match words::first(&mut rest, Escapes::StrictC) {
                    Ok(Some(assignment)) => self.take_assignment(&assignment),
                    Ok(None) => break,
                    // What stands before it counts.
                    Err(Unbalanced) => {
                        self.ignored_line("Environment", rest);
                        break;
                    }
                }
            }
        }
        // They beat Environment= wherever they stand.
        for value in std::mem::take(&mut self.settings.environment_files) {
            let value = self.expand("EnvironmentFile", &value);
            self.take_environment_file(&value);
        }
        let unset = std::mem::take(&mut self.settings.unset_environment).join(" ");
        let unset = words::all(&unset, Escapes::C).unwrap_or_default();
        self.note_passed_variables(&unset);
        for name in unset {
            self.variables
                .retain(|variable| match name.split_once('=') {
                    Some((name, value)) => variable.name != name || variable.value != value,
                    None => variable.name != name,
                });
        }
    }

    /// They come from systemd itself, whose variables no file tells for sure; `Environment=` and files beat them.
    fn note_passed_variables(&mut self, unset: &[String]) {
        let passed = std::mem::take(&mut self.settings.pass_environment).join(" ");
        for name in words::all(&passed, Escapes::C).unwrap_or_default() {
            let known = self.variables.iter().any(|it| it.name == name);
            if known || unset.contains(&name) || !name.starts_with("ETCD_") {
                continue;
            }
            let unit = &self.service.unit;
            let message = format!(
                "{unit} passes {name} on from systemd's own variables, and what is in it is not known here"
            );
            self.find(
                Finding::warning("variable-passed-on", message)
                    .with_remedy("see systemctl show-environment"),
            );
        }
    }

    fn take_assignment(&mut self, assignment: &str) {
        let assignment = self.expand("Environment", assignment);
        match assignment.split_once('=') {
            Some((name, value)) if environment_file::is_name(name) => {
                let variable = Variable {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    file: None,
                };
                containers::set(&mut self.variables, variable);
            }
            _ => self.ignored_line("Environment", &assignment),
        }
    }

    fn take_environment_file(&mut self, value: &str) {
        let (optional, pattern) = match value.strip_prefix('-') {
            Some(pattern) => (true, pattern),
            None => (false, value),
        };
        if !pattern.starts_with('/') {
            self.ignored_line("EnvironmentFile", value);
            return;
        }
        let paths = matching(self.root, pattern);
        if paths.is_empty() {
            self.absent(Path::new(pattern), optional);
        }
        for path in paths {
            match self.text(&path) {
                Ok(text) => self.take_environment(&path, &text),
                Err(error) if error.kind() == crate::ErrorKind::NotFound => {
                    self.absent(&path, optional);
                }
                Err(error) => self.find(
                    Finding::error(
                        "environment-file-unreadable",
                        format!("{error}; what it sets is not known"),
                    )
                    .with_remedy("make it readable for whoever runs this")
                    .at(&path),
                ),
            }
        }
    }

    fn take_environment(&mut self, path: &Path, text: &str) {
        let (variables, bad) = environment_file::read(text);
        for (name, value) in variables {
            let variable = Variable {
                name,
                value,
                file: Some(path.to_owned()),
            };
            containers::set(&mut self.variables, variable);
        }
        for name in bad {
            let name = name.0;
            let remedy = match name.strip_prefix("export ") {
                Some(bare) => {
                    format!("write {bare}=... without `export`: no shell reads this file")
                }
                None => "correct the line; it has the form NAME=value".to_owned(),
            };
            self.find(
                Finding::warning(
                    "environment-line-ignored",
                    format!(
                        "systemd ignores the line of {name:?} in {}: that is no name of a variable",
                        path.display()
                    ),
                )
                .with_remedy(remedy)
                .at(path),
            );
        }
        self.service.environment_files.push(path.to_owned());
    }

    pub(super) fn absent(&mut self, path: &Path, optional: bool) {
        let finding = if optional {
            Finding::note(
                "environment-file-absent",
                format!(
                    "{} is not there, which {} takes for an empty file",
                    path.display(),
                    self.service.unit
                ),
            )
        } else {
            Finding::error(
                "environment-file-absent",
                format!(
                    "{} is not there, and {} does not start without it",
                    path.display(),
                    self.service.unit
                ),
            )
            .with_remedy("bring the file back; what it sets is not known here")
        };
        self.find(finding.at(path));
    }
}

/// The files that a path with wildcards stands for, as the machine knows them; without wildcards the path itself.
fn matching(root: &Root, pattern: &str) -> Vec<PathBuf> {
    if !pattern.contains(['*', '?', '[']) {
        return vec![PathBuf::from(pattern)];
    }
    // The root itself may have characters that mean something to the pattern.
    let base = glob::Pattern::escape(&root.directory().display().to_string());
    let whole = format!("{}{pattern}", base.trim_end_matches('/'));
    let found = glob::glob(&whole).into_iter().flatten().flatten();
    let mut paths: Vec<_> = found
        .filter_map(|path| {
            let below = path.strip_prefix(root.directory()).ok()?;
            Some(Path::new("/").join(below))
        })
        .collect();
    paths.sort();
    paths
}
