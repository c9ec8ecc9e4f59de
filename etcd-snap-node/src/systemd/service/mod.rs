//! A service from its files: the assignments that count, the environment, the command.

mod environment;

use std::path::{Path, PathBuf};

use super::command::{self, Start, Understood};
use super::expansion::{Specifiers, expand_variables};
use super::settings::Settings;
use super::syntax;
use super::unit_files::{Fragment, UnitFiles};
use super::words::{self, Escapes, Unbalanced};
use super::{Service, WrapperKind, containers};
use crate::invocation::{Invocation, Variable};
use crate::{Finding, Root};

/// Reads a service; `None` where it has nothing to do with etcd. Files that are coming are read as if they were there.
pub(super) fn read(root: &Root, files: UnitFiles, coming: &[(PathBuf, String)]) -> Option<Service> {
    let mut reader = Reader::new(root, files, coming);
    let named = reader.service.unit.starts_with("etcd");
    if reader.service.masked {
        let unit = reader.service.unit.clone();
        let place = reader.service.unit_file.clone().unwrap_or_default();
        reader.find(
            Finding::warning(
                "unit-masked",
                format!(
                    "{unit} is masked ({}): systemd never starts it",
                    place.display()
                ),
            )
            .with_remedy(format!(
                "if this machine is to run etcd again: systemctl unmask {unit}"
            )),
        );
        return named.then_some(reader.service);
    }
    reader.load();
    let mentioned = reader
        .settings
        .commands
        .iter()
        .any(|command| command.contains("etcd"));
    if !named && !mentioned {
        return None;
    }
    reader.read_environment();
    let found = reader.read_commands();
    (named || found).then_some(reader.service)
}

struct Reader<'a> {
    root: &'a Root,
    coming: &'a [(PathBuf, String)],
    specifiers: Specifiers,
    files: Vec<PathBuf>,
    settings: Settings,
    variables: Vec<Variable>,
    service: Service,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Root, files: UnitFiles, coming: &'a [(PathBuf, String)]) -> Self {
        let (unit_file, masked) = match files.fragment {
            Fragment::File(file) => (Some(file), false),
            Fragment::Masked(file) => (Some(file), true),
            Fragment::Absent => (None, false),
        };
        Self {
            root,
            coming,
            specifiers: Specifiers::new(&files.unit, root),
            files: unit_file.iter().chain(&files.drop_ins).cloned().collect(),
            settings: Settings::default(),
            variables: Vec::new(),
            service: Service {
                unit: files.unit,
                unit_file,
                masked,
                aliases: files.aliases,
                drop_ins: files.drop_ins,
                environment_files: Vec::new(),
                user: None,
                working_directory: None,
                invocation: None,
                wrapper: None,
                findings: Vec::new(),
            },
        }
    }

    fn find(&mut self, finding: Finding) {
        let finding = match (&finding.path, &self.service.unit_file) {
            (None, Some(file)) => finding.at(file),
            _ => finding,
        };
        if !self.service.findings.contains(&finding) {
            self.service.findings.push(finding);
        }
    }

    fn text(&self, path: &Path) -> crate::Result<String> {
        match self.coming.iter().find(|(coming, _)| coming == path) {
            Some((_, text)) => Ok(text.clone()),
            None => self.root.read_text(path),
        }
    }

    fn load(&mut self) {
        for file in self.files.clone() {
            match self.text(&file) {
                Ok(text) => {
                    for assignment in syntax::assignments(&text) {
                        if assignment.section == "Service" {
                            self.settings.take(assignment);
                        }
                    }
                }
                Err(error) => self.find(
                    Finding::error(
                        "unit-file-unreadable",
                        format!("a file of {} is left out, and so what comes of it may be wrong: {error}", self.service.unit),
                    )
                    .with_remedy("make it readable for whoever runs this")
                    .at(&file),
                ),
            }
        }
        self.service.user = self
            .expanded_path("User", &self.settings.user.clone())
            .filter(|user| user != "root" && user != "0");
        let directory = self.settings.working_directory.clone();
        self.service.working_directory = self.working_directory(directory.trim_start_matches('-'));
        if !self.settings.root_directory.is_empty() {
            let message = format!(
                "{} sees {} as its root: its paths are not those of the machine, and are not followed",
                self.service.unit, self.settings.root_directory
            );
            self.find(
                Finding::warning("wrapper", message)
                    .with_remedy("look for its files below that directory"),
            );
        }
    }

    fn working_directory(&mut self, value: &str) -> Option<PathBuf> {
        match self.expanded_path("WorkingDirectory", value) {
            None => Some(PathBuf::from("/")),
            Some(directory) if directory == "~" => {
                let user = self
                    .service
                    .user
                    .clone()
                    .unwrap_or_else(|| "root".to_owned());
                let text = self.root.read_text(Path::new("/etc/passwd")).ok()?;
                let line = text
                    .lines()
                    .find(|line| line.split(':').next() == Some(&user))?;
                line.split(':').nth(5).map(PathBuf::from)
            }
            Some(directory) => Some(PathBuf::from(directory)),
        }
    }

    /// A value that is one path or name; `None` where it is empty.
    fn expanded_path(&mut self, key: &str, value: &str) -> Option<String> {
        let value = self.expand(key, value);
        (!value.is_empty()).then_some(value)
    }

    fn expand(&mut self, key: &str, text: &str) -> String {
        let (text, unknown) = self.specifiers.expand(text);
        for specifier in unknown {
            let remedy = match specifier.as_str() {
                "%H" | "%l" => "copy /etc/hostname of the machine into the tree too",
                "%m" => "copy /etc/machine-id of the machine into the tree too",
                _ => "see systemd.unit(5) for what it stands for, and read it so",
            };
            self.find(
                Finding::warning(
                    "specifier-not-known",
                    format!("{key}= of {} has {specifier}, and what that is on the machine is not known here", self.service.unit),
                )
                .with_remedy(remedy),
            );
        }
        text
    }

    fn ignored_line(&mut self, key: &str, value: &str) {
        self.find(
            Finding::warning(
                "unit-line-ignored",
                format!("systemd ignores {key}={value} of {}, because it cannot be understood", self.service.unit),
            )
            .with_remedy("look for quotes that are not ended, names with blanks, paths that do not begin with /"),
        );
    }

    /// Whether etcd was found in the commands.
    fn read_commands(&mut self) -> bool {
        let commands = std::mem::take(&mut self.settings.commands);
        self.judge_commands(&commands);
        let mut programs = Vec::new();
        for line in &commands {
            for (command, expand) in self.split(line) {
                programs.extend(command.first().cloned());
                let start = self.start(command, expand);
                let Some(understood) = command::understand(start, self.root) else {
                    // Another one may be etcd's.
                    continue;
                };
                self.take(understood);
                return true;
            }
        }
        if !programs.is_empty() {
            let message = format!(
                "{} runs {}, in which no etcd was found",
                self.service.unit,
                programs.join(", ")
            );
            self.find(Finding::note("not-etcd", message));
        }
        false
    }

    fn judge_commands(&mut self, commands: &[String]) {
        let unit = self.service.unit.clone();
        if self.service.unit_file.is_none() {
            self.find(
                Finding::error(
                    "unit-file-absent",
                    format!("there are drop-ins for {unit}, and {unit} itself is not there: systemd cannot start it"),
                )
                .with_remedy("bring the unit back (from its package), or copy /usr/lib/systemd/system into the tree too"),
            );
        }
        match commands.len() {
            0 => self.find(
                Finding::error("exec-start-absent", format!("{unit} has no ExecStart=: systemd does not start it"))
                    .with_remedy(format!("look at `systemctl cat {unit}` for one that is taken back by an empty ExecStart=")),
            ),
            1 => {}
            _ if self.settings.kind == "oneshot" => {}
            _ => self.find(
                Finding::error(
                    "exec-start-several",
                    format!("{unit} has {} ExecStart= lines, and systemd starts no service that has more than one", commands.len()),
                )
                .with_remedy("put an empty ExecStart= before the one that is meant"),
            ),
        }
    }

    /// The commands of a line, each with whether variables are put into it. Several are separated by semicolons.
    fn split(&mut self, line: &str) -> Vec<(Vec<String>, bool)> {
        let mut commands = Vec::new();
        if let Err(Unbalanced) = self.try_split(line, &mut commands) {
            let unit = &self.service.unit;
            self.find(
                Finding::error(
                    "unit-line-ignored",
                    format!("systemd does not understand ExecStart={line} of {unit}, because of a quote that is not ended or a backslash at its end, and does not start the service with it"),
                )
                .with_remedy("correct the quotes"),
            );
        }
        commands
    }

    /// What stands before a mistake counts.
    fn try_split(
        &mut self,
        line: &str,
        commands: &mut Vec<(Vec<String>, bool)>,
    ) -> Result<(), Unbalanced> {
        let mut rest = line;
        while let Some(program) = words::first(&mut rest, Escapes::C)? {
            let prefixes = program
                .find(|c| !matches!(c, '@' | '-' | ':' | '+' | '!' | '|'))
                .unwrap_or(program.len());
            let (prefixes, program) = program.split_at(prefixes);
            let mut command = vec![self.expand("ExecStart", program)];
            // What follows `@` is what the program is called, not one of its words.
            if prefixes.contains('@') && words::first(&mut rest, Escapes::C)?.is_none() {
                break;
            }
            loop {
                if let Some(after) = separator(rest, ";") {
                    rest = after;
                    break;
                }
                if let Some(after) = separator(rest, "\\;") {
                    rest = after;
                    command.push(";".to_owned());
                    continue;
                }
                let Some(word) = words::first(&mut rest, Escapes::C)? else {
                    break;
                };
                command.push(self.expand("ExecStart", &word));
            }
            commands.push((command, !prefixes.contains(':')));
        }
        Ok(())
    }

    /// The command as systemd starts it.
    fn start(&mut self, mut command: Vec<String>, expand: bool) -> Start {
        if expand && let Some((program, words)) = command.split_first() {
            let variables = self.variables.clone();
            let lookup = |name: &str| {
                let variable = variables.iter().find(|variable| variable.name == name);
                variable.map(|variable| variable.value.as_str())
            };
            let mut expanded = expand_variables(words, &lookup);
            // What systemd leaves there, the shell expands.
            let script = command::script_in(&command);
            expanded.left.retain(|word| Some(word) != script);
            self.note_variables(&expanded.empty, &expanded.missing, &expanded.left);
            let mut words = vec![program.clone()];
            words.extend(expanded.words);
            command = words;
        }
        Start {
            words: command,
            variables: self.variables.clone(),
            directory: self.service.working_directory.clone(),
            unresolved: Vec::new(),
        }
    }

    fn note_variables(&mut self, empty: &[String], missing: &[String], left: &[String]) {
        let unit = self.service.unit.clone();
        for name in empty {
            self.find(
                Finding::warning(
                    "variable-not-set",
                    format!(
                        "ExecStart= of {unit} asks for ${{{name}}}, which nothing sets: it is empty"
                    ),
                )
                .with_remedy(format!(
                    "set {name} with Environment= or in a file of EnvironmentFile="
                )),
            );
        }
        for name in missing {
            // A word that is not there is what an empty variable means as well.
            self.find(Finding::note(
                "variable-not-set",
                format!("ExecStart= of {unit} asks for ${name}, which nothing sets: there is no word in its place"),
            ));
        }
        for word in left {
            self.find(
                Finding::warning(
                    "variable-not-expanded",
                    format!("systemd puts no variable into {word:?} in ExecStart= of {unit}, because its name has no braces: etcd gets it as it is written"),
                )
                .with_remedy("write ${NAME}"),
            );
        }
    }

    fn take(&mut self, understood: Understood) {
        let Understood {
            start,
            wrapper,
            environment_files,
            absent_files,
            mut unknown,
            unset,
        } = understood;
        let wrapper = wrapper.or_else(|| self.hidden_container(&start, &mut unknown));
        for file in absent_files {
            self.absent(&file, false);
        }
        for file in environment_files {
            if !self.service.environment_files.contains(&file) {
                self.service.environment_files.push(file);
            }
        }
        for name in unset.iter().filter(|name| name.starts_with("ETCD")) {
            self.find(
                Finding::warning(
                    "variable-not-set",
                    format!(
                        "the command of {} asks for ${name}, which nothing sets: it is empty",
                        self.service.unit
                    ),
                )
                .with_remedy(format!("set {name}")),
            );
        }
        if let Some(wrapper) = &wrapper {
            let program = wrapper.program.display();
            let what = match wrapper.kind {
                WrapperKind::Container => "in a container, by way of",
                WrapperKind::Shell => "by way of",
            };
            let message = format!("{} runs etcd {what} {program}", self.service.unit);
            if !wrapper.understood {
                unknown.sort();
                unknown.dedup();
                self.find(
                    Finding::warning(
                        "wrapper",
                        format!("{message}; not understood of it: {}", unknown.join("; ")),
                    )
                    .with_remedy("compare with what the running process was given"),
                );
            } else if wrapper.is_container() {
                self.find(Finding::note("wrapper", message));
            }
        }
        self.service.wrapper = wrapper;
        if !start.words.is_empty() {
            self.service.invocation = Some(Invocation {
                words: start.words,
                variables: start.variables,
                working_directory: start.directory,
                unresolved: start.unresolved,
            });
        }
    }

    /// A container that only the other commands of the unit show, because the program itself, a script, is not in the tree.
    fn hidden_container(&self, start: &Start, unknown: &mut Vec<String>) -> Option<super::Wrapper> {
        let program = start.words.first()?;
        if self.root.exists(Path::new(program)) {
            return None;
        }
        let found = self.settings.other_commands.iter().find_map(|line| {
            let words = words::all(line, Escapes::C).ok()?;
            let (engine, others) = words.split_first()?;
            let engine = engine.trim_start_matches(['-', '@', '+', '!', ':']);
            let removes = others
                .iter()
                .any(|word| ["stop", "rm", "kill"].contains(&word.as_str()));
            (containers::is_engine(engine) && removes).then(|| others.last().cloned())
        })?;
        let mut wrapper = command::wrapper(WrapperKind::Container, program);
        wrapper.container = found;
        wrapper.understood = false;
        unknown.push(format!(
            "{program}, which is not here: what it mounts, and which variables it passes on"
        ));
        Some(wrapper)
    }
}

/// What follows a word that stands for itself only without quotes.
fn separator<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let after = text.strip_prefix(word)?;
    (after.is_empty() || after.starts_with(words::is_blank))
        .then(|| after.trim_start_matches(words::is_blank))
}
