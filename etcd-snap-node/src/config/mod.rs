//! What etcd makes of its words, variables and configuration file, by its own rules.

mod command_line;
mod doubts;
mod effective;
mod file;
mod flags;
#[cfg(test)]
mod tests;
mod urls;
mod values;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(crate) use effective::TlsFiles;

use crate::invocation::{Invocation, Variable};
use crate::{Finding, Origin, Result, Setting};

/// What an etcd was told, before anybody asks where that leads on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// What the words make of the program.
    pub(crate) runs: Runs,
    /// Every setting that somebody made, by the name of its flag. Defaults are not among them: the methods know those.
    pub(crate) settings: BTreeMap<String, Setting>,
    /// Those of them in whose place a shell puts something when it starts etcd: the value is what is written, and not what counts.
    unknown: BTreeSet<String>,
    /// The parts that it replaces.
    unresolved: Vec<String>,
    /// The configuration file that alone counts, as etcd sees it; relative paths begin in the working directory, if that is known.
    pub(crate) config_file: Option<PathBuf>,
    /// Whether that file was read.
    pub(crate) config_file_read: bool,
    /// Where relative paths begin, if that is known.
    pub(crate) working_directory: Option<PathBuf>,
    pub(crate) findings: Vec<Finding>,
}

/// The code of what is said of settings that a shell decides about.
pub(crate) const UNKNOWN: &str = "variable-unknown";

/// What the program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// A member, with data of its own.
    Member,
    /// `etcd gateway`: forwards connections.
    Gateway,
    /// `etcd grpc-proxy`: caches and forwards requests.
    GrpcProxy,
    /// `--proxy on`, up to 3.5: forwards requests of API version 2.
    Proxy,
}

impl Runs {
    /// The words that make it so.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Member => "etcd",
            Self::Gateway => "etcd gateway",
            Self::GrpcProxy => "etcd grpc-proxy",
            Self::Proxy => "etcd --proxy",
        }
    }
}

/// Finds out what etcd would make of this invocation. `read` gives the text of a file by the path that etcd knows it by; it is asked
/// for the configuration file only.
pub(crate) fn configure(
    invocation: &Invocation,
    read: &dyn Fn(&Path) -> Result<String>,
) -> Configuration {
    let mut configuration = Configuration {
        runs: Runs::Member,
        settings: BTreeMap::new(),
        unknown: BTreeSet::new(),
        unresolved: invocation.unresolved.clone(),
        config_file: None,
        config_file_read: false,
        working_directory: invocation.working_directory.clone(),
        findings: Vec::new(),
    };
    let words = invocation.words.get(1..).unwrap_or_default();
    configuration.runs = match words.first().map(String::as_str) {
        Some("gateway") => Runs::Gateway,
        Some("grpc-proxy") => Runs::GrpcProxy,
        _ => Runs::Member,
    };
    if configuration.runs != Runs::Member {
        configuration.note_no_member();
        return configuration;
    }

    let given = command_line::read(invocation);
    configuration.findings = given.findings;
    // The last one wins.
    let mut flags: BTreeMap<&'static str, String> = given.settings.into_iter().collect();
    let named = flags.remove("config-file").filter(|path| !path.is_empty());
    let named = named.or_else(|| {
        let variable = invocation
            .variables
            .iter()
            .find(|variable| variable.name == "ETCD_CONFIG_FILE" && !variable.value.is_empty());
        variable.map(|variable| variable.value.clone())
    });
    match named {
        Some(path) if invocation.is_unresolved(&path) => {
            configuration.config_file = Some(configuration.absolute(&path));
            configuration.findings.push(
                Finding::warning(
                    "config-file-unknown",
                    format!("which configuration file etcd reads is not known here: a shell decides about {path} when it starts etcd"),
                )
                .with_remedy("write the path itself into what starts etcd"),
            );
        }
        Some(path) => {
            let path = configuration.absolute(&path);
            configuration.take_file(&path, read);
            configuration.note_ignored(&path, &flags, &invocation.variables);
        }
        None => {
            configuration.take_variables(&flags, &invocation.variables);
            for (flag, value) in flags {
                configuration.set(flag, value, Origin::Flag);
            }
            let settings = configuration.settings.iter();
            configuration.unknown = settings
                .filter(|(_, setting)| invocation.is_unresolved(&setting.value))
                .map(|(name, _)| name.clone())
                .collect();
            let unknown: Vec<_> = configuration.unknown.iter().cloned().collect();
            let unknown: Vec<_> = unknown.iter().map(String::as_str).collect();
            configuration.note_unknown(&unknown);
        }
    }
    if configuration
        .value("proxy")
        .is_some_and(|proxy| proxy == "on" || proxy == "readonly")
    {
        configuration.runs = Runs::Proxy;
        configuration.note_no_member();
        return configuration;
    }
    // Of a file that could not be read nothing is known, not even that a default counts.
    if configuration.config_file.is_none() || configuration.config_file_read {
        let doubts = doubts::of(&configuration);
        configuration.findings.extend(doubts);
    }
    configuration
}

impl Configuration {
    /// Takes what a shell decided about from the etcd that it has started, and says which settings these were. What that etcd was not
    /// given in a way that can be seen stays unknown.
    pub(crate) fn learn(&mut self, running: &Self, pid: u32) -> Vec<String> {
        let mut learnt = Vec::new();
        for (name, setting) in &mut self.settings {
            if let Some(value) = running.value(name)
                && self.unknown.remove(name)
            {
                value.clone_into(&mut setting.value);
                learnt.push(name.clone());
            }
        }
        if learnt.is_empty() {
            return learnt;
        }
        self.findings.push(Finding::note(
            UNKNOWN,
            format!(
                "a shell decides about {} when it starts etcd: what the running one (process {pid}) was given is taken for it",
                learnt.join(", ")
            ),
        ));
        let unknown: Vec<_> = self.unknown.iter().cloned().collect();
        let unknown: Vec<_> = unknown.iter().map(String::as_str).collect();
        self.note_unknown(&unknown);
        learnt
    }

    fn take_file(&mut self, path: &Path, read: &dyn Fn(&Path) -> Result<String>) {
        self.config_file = Some(path.to_owned());
        let text = match read(path) {
            Ok(text) => text,
            Err(error) => {
                let finding = if error.kind() == crate::ErrorKind::NotFound {
                    Finding::error(
                        "config-file-absent",
                        format!("the configuration file {}, which alone would count, is not there: etcd does not start", path.display()),
                    )
                    .with_remedy("bring the file back, or correct --config-file")
                } else {
                    Finding::error(
                        "config-file-unreadable",
                        format!(
                            "the configuration file, which alone counts, is not known: {error}"
                        ),
                    )
                    .with_remedy("make it readable for whoever runs this")
                };
                self.findings.push(finding.at(path));
                return;
            }
        };
        let content = file::read(path, &text);
        self.config_file_read = !content
            .findings
            .iter()
            .any(|finding| finding.code == "config-file-invalid");
        self.findings.extend(content.findings);
        for (flag, value) in content.settings {
            self.set(&flag, value, Origin::ConfigFile);
        }
    }

    fn take_variables(&mut self, flags: &BTreeMap<&'static str, String>, variables: &[Variable]) {
        let mut unknown = Vec::new();
        for variable in variables {
            let Some(flag) = flags::flag_of_variable(&variable.name) else {
                if means_etcd(&variable.name) {
                    unknown.push(variable.name.as_str());
                }
                continue;
            };
            // etcd takes ETCD_VERSION away before it looks.
            if flag.name == "version" || flag.kind == flags::Kind::Ignored {
                continue;
            }
            if flags.contains_key(flag.name) {
                self.findings.push(twice(flag.name, variable));
                continue;
            }
            if variable.value.is_empty() {
                continue;
            }
            let origin = Origin::Variable {
                name: variable.name.clone(),
                file: variable.file.clone(),
            };
            self.set(flag.name, variable.value.clone(), origin);
        }
        if !unknown.is_empty() {
            self.findings.push(Finding::note(
                "unknown-variable",
                format!(
                    "etcd does not know {}, and warns of that when it starts",
                    unknown.join(", ")
                ),
            ));
        }
    }

    fn note_ignored(
        &mut self,
        path: &Path,
        flags: &BTreeMap<&'static str, String>,
        variables: &[Variable],
    ) {
        let flags = flags.keys().map(|flag| format!("--{flag}"));
        let variables = variables.iter().filter(|variable| {
            !variable.value.is_empty()
                && flags::flag_of_variable(&variable.name)
                    .is_some_and(|flag| !["config-file", "version"].contains(&flag.name))
        });
        let ignored: Vec<_> = flags
            .chain(variables.map(|variable| variable.name.clone()))
            .collect();
        if ignored.is_empty() {
            return;
        }
        self.findings.push(
            Finding::warning(
                "setting-ignored",
                format!(
                    "etcd has a configuration file, {}, and therefore ignores {}",
                    path.display(),
                    ignored.join(", ")
                ),
            )
            .with_remedy("move what is meant into the file, and take the rest out")
            .at(path),
        );
    }

    fn note_unknown(&mut self, names: &[&str]) {
        if names.is_empty() {
            return;
        }
        self.findings.push(
            Finding::warning(
                UNKNOWN,
                format!(
                    "what etcd is given as {} is not known here: a shell puts something in the place of {} when it starts etcd",
                    names.join(", "),
                    self.unresolved.join(", ")
                ),
            )
            .with_remedy("see what the running process was given (`tr '\\0' ' ' </proc/PID/cmdline`), or write the value itself into the unit"),
        );
    }

    fn note_no_member(&mut self) {
        self.findings.push(Finding::note(
            "no-member",
            format!(
                "`{}` only forwards what it is asked to members elsewhere: there is no data here, and nothing to recover",
                self.runs.words()
            ),
        ));
    }

    fn set(&mut self, flag: &str, value: String, from: Origin) {
        let secret = ["discovery-password", "discovery-user"].contains(&flag);
        let value = if secret {
            "[redacted]".to_owned()
        } else {
            value
        };
        self.settings
            .insert(flag.to_owned(), Setting { value, from });
    }
}

/// Whether somebody who sets this variable means etcd. Those that units and wrappers use for themselves are none of it.
fn means_etcd(variable: &str) -> bool {
    const OF_WRAPPERS: &[&str] = &[
        "ARGS",
        "DATA_VOLUME",
        "EXTRA_ARGS",
        "OPTS",
        "SSL_DIR",
        "USER",
        "VERSION",
    ];
    variable.strip_prefix("ETCD_").is_some_and(|name| {
        !OF_WRAPPERS.contains(&name)
            && !name.starts_with("IMAGE")
            && !name.starts_with("SERVICE_")
            && !name.starts_with("PORT")
    })
}

fn twice(flag: &str, variable: &Variable) -> Finding {
    let place = variable
        .file
        .as_ref()
        .map(|file| format!(" in {}", file.display()))
        .unwrap_or_default();
    let finding = Finding::error(
        "setting-twice",
        format!(
            "--{flag} is given and {}{place} is set: etcd does not start with both, even where they say the same",
            variable.name
        ),
    )
    .with_remedy(format!("take either --{flag} or {} out", variable.name));
    match &variable.file {
        Some(file) => finding.at(file),
        None => finding,
    }
}
