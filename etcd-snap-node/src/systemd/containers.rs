//! Commands that start a container: what is mounted in it, which variables it gets, and what runs in it.

use std::path::{Path, PathBuf};

use crate::invocation::Variable;
use crate::{Mount, Root};

/// What a `docker run` starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    /// The program in it and its words; only words where the image decides about the program.
    pub(super) words: Vec<String>,
    pub(super) entrypoint: Option<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) mounts: Vec<Mount>,
    pub(super) directory: Option<PathBuf>,
    /// Files of variables that are there, and those that are not.
    pub(super) environment_files: Vec<PathBuf>,
    pub(super) absent_files: Vec<PathBuf>,
}

/// Switches of `docker run`, `podman run` and `nerdctl run`: what follows is not their value.
const SWITCHES: &[&str] = &[
    "--detach",
    "--disable-content-trust",
    "--init",
    "--interactive",
    "--no-healthcheck",
    "--no-hosts",
    "--oom-kill-disable",
    "--privileged",
    "--publish-all",
    "--quiet",
    "--read-only",
    "--replace",
    "--rm",
    "--rmi",
    "--sig-proxy",
    "--tty",
];

/// Whether it is a program that runs containers like Docker.
pub(super) fn is_engine(program: &str) -> bool {
    ["docker", "podman", "nerdctl"].contains(&super::command::base_name(program))
}

/// The container that the words after the engine start; `None` where they start none.
pub(super) fn run(words: &[String], environment: &[Variable], root: &Root) -> Option<Container> {
    let at = words.iter().position(|word| word == "run")?;
    // Options of the engine itself may stand before.
    let mut words = words.get(at + 1..)?.iter().peekable();
    let mut container = Container::default();
    let mut given: Vec<Variable> = Vec::new();
    while let Some(word) = words.next_if(|word| word.starts_with('-') && word.len() > 1) {
        let (option, value) = option(word);
        let takes = !(SWITCHES.contains(&option) || is_short_switches(word));
        let value = match value {
            Some(value) => value.to_owned(),
            None if takes => words.next()?.clone(),
            None => continue,
        };
        match option {
            "--name" => container.name = Some(value),
            "--entrypoint" => container.entrypoint = Some(value),
            "-w" | "--workdir" => container.directory = Some(PathBuf::from(value)),
            "-e" | "--env" => given.extend(variable(&value, environment, None)),
            "--env-file" => container.take_environment_file(Path::new(&value), environment, root),
            "-v" | "--volume" => container.mounts.extend(volume(&value)),
            "--mount" => container.mounts.extend(mount(&value)),
            _ => {}
        }
    }
    // What is given one by one beats the files, wherever it stands.
    for variable in given {
        set(&mut container.variables, variable);
    }
    container.image = words.next().cloned();
    container.words = words.cloned().collect();
    Some(container)
}

impl Container {
    /// A file of variables as Docker reads it: no quotes, no escapes.
    fn take_environment_file(&mut self, path: &Path, environment: &[Variable], root: &Root) {
        let Ok(text) = root.read_text(path) else {
            self.absent_files.push(path.to_owned());
            return;
        };
        self.environment_files.push(path.to_owned());
        for line in text.lines().map(str::trim_start) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(variable) = variable(line, environment, Some(path)) {
                set(&mut self.variables, variable);
            }
        }
    }
}

/// Sets a variable anew, so that each is there once.
pub(super) fn set(variables: &mut Vec<Variable>, variable: Variable) {
    variables.retain(|it| it.name != variable.name);
    variables.push(variable);
}

/// `NAME=value`, or `NAME` alone for that of the engine's own environment.
fn variable(text: &str, environment: &[Variable], file: Option<&Path>) -> Option<Variable> {
    match text.split_once('=') {
        Some((name, value)) => Some(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            file: file.map(Path::to_owned),
        }),
        None => environment.iter().find(|it| it.name == text).cloned(),
    }
}

fn option(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
    }
    // `-v/a:/b` is one word too.
    match word.get(..2) {
        Some(option) if word.len() > 2 && !is_short_switches(word) => {
            let value = word.get(2..).unwrap_or_default();
            (option, Some(value.strip_prefix('=').unwrap_or(value)))
        }
        _ => (word, None),
    }
}

fn is_short_switches(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|letters| !letters.is_empty() && letters.chars().all(|c| "ditPq".contains(c)))
}

fn volume(text: &str) -> Option<Mount> {
    let mut parts = text.split(':');
    let source = parts.next()?;
    let target = parts.next();
    let options = parts.next().unwrap_or_default();
    let target = target.unwrap_or(source);
    Some(Mount {
        volume: source.to_owned(),
        mount_path: PathBuf::from(target),
        // What is no path is the name of a volume that the engine keeps.
        host_path: (source.starts_with('/') && text.contains(':')).then(|| PathBuf::from(source)),
        host_path_type: String::new(),
        read_only: options.split(',').any(|option| option == "ro"),
    })
}

fn mount(text: &str) -> Option<Mount> {
    let field = |names: &[&str]| {
        text.split(',').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            names.contains(&name).then(|| value.to_owned())
        })
    };
    let target = field(&["target", "dst", "destination"])?;
    let source = field(&["source", "src"]).unwrap_or_default();
    Some(Mount {
        host_path: source.starts_with('/').then(|| PathBuf::from(&source)),
        volume: source,
        mount_path: PathBuf::from(target),
        host_path_type: String::new(),
        read_only: text
            .split(',')
            .any(|part| matches!(part, "readonly" | "ro" | "readonly=true" | "ro=true")),
    })
}
