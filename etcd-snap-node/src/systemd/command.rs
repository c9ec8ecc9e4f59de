//! From the command of a unit to the command of etcd: through shells, scripts, containers, and programs that start others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::containers::{self, Container};
use super::shell::{self, Surroundings};
use super::{Wrapper, WrapperKind};
use crate::invocation::Variable;
use crate::{Mount, Root};

/// A command, before it is known what it starts.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    pub(super) words: Vec<String>,
    pub(super) variables: Vec<Variable>,
    pub(super) directory: Option<PathBuf>,
    /// See [`Invocation::unresolved`](crate::invocation::Invocation::unresolved).
    pub(super) unresolved: Vec<String>,
}

/// etcd's own command, and what was found on the way to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Understood {
    pub(super) start: Start,
    pub(super) wrapper: Option<Wrapper>,
    /// Files of variables that the wrapper reads.
    pub(super) environment_files: Vec<PathBuf>,
    pub(super) absent_files: Vec<PathBuf>,
    /// What of the wrapper is not understood.
    pub(super) unknown: Vec<String>,
    /// Variables that a wrapper asks for and nobody sets.
    pub(super) unset: Vec<String>,
}

/// Programs that do something and then become the one that they are told.
const STARTERS: &[&str] = &[
    "chpst",
    "chroot",
    "chrt",
    "dumb-init",
    "env",
    "gosu",
    "ionice",
    "nice",
    "nohup",
    "numactl",
    "prlimit",
    "runuser",
    "sdnotify-proxy",
    "setpriv",
    "setsid",
    "setuidgid",
    "stdbuf",
    "su-exec",
    "sudo",
    "systemd-cat",
    "taskset",
    "time",
    "timeout",
    "tini",
    "unshare",
];
const SHELLS: &[&str] = &["ash", "bash", "dash", "ksh", "sh", "zsh"];

/// Wrappers start wrappers.
const DEEPEST: usize = 6;

/// The name of a program without its directory.
pub(super) fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// The word of a command that is the text of a script, as `sh -c TEXT` has it: a shell expands that by itself.
pub(super) fn script_in(words: &[String]) -> Option<&String> {
    let at = words
        .iter()
        .position(|word| SHELLS.contains(&base_name(word)))?;
    let mut after = words.get(at + 1..)?.iter();
    let mut is_command = false;
    let text = after.find(|word| {
        is_command |= is_command_option(word);
        !word.starts_with('-')
    });
    text.filter(|_| is_command)
}

/// `-c`, also with others in one word.
fn is_command_option(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains('c')
}

/// Finds the etcd that a command starts; `None` where it starts none.
pub(super) fn understand(start: Start, root: &Root) -> Option<Understood> {
    follow(start, Some(root), DEEPEST)
}

/// `root` is what the command sees of the machine; `None` in a container, which has files of its own.
fn follow(start: Start, root: Option<&Root>, depth: usize) -> Option<Understood> {
    let depth = depth.checked_sub(1)?;
    let program = start.words.first()?.clone();
    let base = base_name(&program);
    match base {
        _ if containers::is_engine(base) => of_engine(&program, &start, root?, depth),
        "rkt" => of_rkt(&program, &start),
        "etcd-wrapper" => Some(of_flatcar(&program, start)),
        _ if SHELLS.contains(&base) => of_shell(&program, &start, root, depth),
        _ if STARTERS.contains(&base) => of_starter(&program, &start, root, depth),
        _ => match root.and_then(|root| script_of(&program, root)) {
            Some(text) => {
                let arguments = start.words.get(1..).unwrap_or_default().to_vec();
                of_script(&program, &text, &arguments, &start, root, depth)
            }
            None if base == "etcd" => Some(Understood {
                start,
                ..Understood::default()
            }),
            None => None,
        },
    }
}

/// The text of a program that is a script for a shell.
fn script_of(program: &str, root: &Root) -> Option<String> {
    let text = root.read_text(Path::new(program)).ok()?;
    let interpreter = text.lines().next()?.strip_prefix("#!")?;
    let mut words = interpreter.split_ascii_whitespace();
    words
        .any(|word| SHELLS.contains(&base_name(word)))
        .then_some(text)
}

fn of_shell(program: &str, start: &Start, root: Option<&Root>, depth: usize) -> Option<Understood> {
    let words = start.words.get(1..)?;
    let options = words
        .iter()
        .take_while(|word| word.starts_with('-'))
        .count();
    let (options, others) = words.split_at(options);
    let (first, others) = others.split_first()?;
    let is_command = options.iter().any(|option| is_command_option(option));
    if is_command {
        // The first word after the command is `$0`.
        let arguments = others.get(1..).unwrap_or_default();
        return of_script(program, first, arguments, start, root, depth);
    }
    let text = root?.read_text(Path::new(first)).ok()?;
    of_script(program, &text, others, start, root, depth)
}

fn of_script(
    program: &str,
    text: &str,
    arguments: &[String],
    start: &Start,
    root: Option<&Root>,
    depth: usize,
) -> Option<Understood> {
    let read = |file: &str| root?.read_text(Path::new(file)).ok();
    let variables: BTreeMap<_, _> = start
        .variables
        .iter()
        .map(|variable| (variable.name.clone(), variable.value.clone()))
        .collect();
    let script = shell::read(
        text,
        &Surroundings {
            arguments,
            variables,
            read: &read,
        },
    );
    // The last one: what is before it prepares, like `docker rm`.
    let mut commands = script.commands.into_iter().rev();
    let (mut understood, used) = commands.find_map(|command| {
        // What a variable of etcd holds is a setting like a word.
        let variables = command.variables.iter();
        let settings = variables
            .filter(|(name, _)| name.starts_with("ETCD_"))
            .map(|(_, value)| value);
        let used: Vec<_> = command.words.iter().chain(settings).cloned().collect();
        let used = used.join(" ");
        let mut unresolved = start.unresolved.clone();
        let substitutions = script.unknown.iter();
        unresolved.extend(
            substitutions
                .filter(|text| shell::is_substitution(text) && used.contains(text.as_str()))
                .cloned(),
        );
        unresolved.sort();
        unresolved.dedup();
        let inner = Start {
            variables: with_origins(command.variables, &start.variables),
            directory: match command.directory {
                Some(directory) => {
                    Some(start.directory.clone().unwrap_or_default().join(directory))
                }
                None => start.directory.clone(),
            },
            words: command.words,
            unresolved,
        };
        Some((follow(inner, root, depth)?, used))
    })?;
    // What the command does not hold does not matter to it.
    let matters = |text: &String| used.contains(text.as_str()) || !shell::is_substitution(text);
    understood
        .unknown
        .extend(script.unknown.into_iter().filter(matters));
    understood.unset.extend(script.unset);
    understood
        .environment_files
        .extend(script.sourced.iter().map(PathBuf::from));
    Some(understood.started_by(program))
}

impl Understood {
    /// With what stands before it: systemd starts that.
    fn started_by(mut self, program: &str) -> Self {
        let known = self.unknown.is_empty();
        let wrapper = self
            .wrapper
            .get_or_insert_with(|| wrapper(WrapperKind::Shell, program));
        wrapper.understood &= known;
        wrapper.program = PathBuf::from(program);
        self
    }
}

/// Variables that are as they were keep the file that they are from.
fn with_origins(variables: BTreeMap<String, String>, before: &[Variable]) -> Vec<Variable> {
    let with_origin = |(name, value): (String, String)| {
        let same = before
            .iter()
            .find(|it| it.name == name && it.value == value);
        same.cloned().unwrap_or(Variable {
            name,
            value,
            file: None,
        })
    };
    variables.into_iter().map(with_origin).collect()
}

fn of_starter(
    program: &str,
    start: &Start,
    root: Option<&Root>,
    depth: usize,
) -> Option<Understood> {
    let is_program = |word: &String| {
        let base = base_name(word);
        base == "etcd"
            || base == "etcd-wrapper"
            || base == "rkt"
            || containers::is_engine(base)
            || SHELLS.contains(&base)
            || STARTERS.contains(&base)
    };
    let others = start.words.get(1..)?;
    let at = others.iter().position(is_program)?;
    let (options, words) = others.split_at(at);
    let mut inner = Start {
        words: words.to_vec(),
        ..start.clone()
    };
    let mut unknown = Vec::new();
    if base_name(program) == "env" {
        if options.iter().any(|option| option == "-i" || option == "-") {
            inner.variables.clear();
        }
        for (name, value) in options.iter().filter_map(|word| word.split_once('=')) {
            let variable = Variable {
                name: name.to_owned(),
                value: value.to_owned(),
                file: None,
            };
            containers::set(&mut inner.variables, variable);
        }
    } else if base_name(program) == "chroot" {
        unknown.push(start.words.join(" "));
    }
    let mut understood = follow(inner, root, depth)?;
    understood.unknown.extend(unknown);
    Some(understood.started_by(program))
}

fn of_engine(program: &str, start: &Start, root: &Root, depth: usize) -> Option<Understood> {
    let words = start.words.get(1..)?;
    let Some(container) = containers::run(words, &start.variables, root) else {
        return existing_container(program, words);
    };
    let Container {
        name,
        image,
        mut words,
        entrypoint,
        variables,
        mounts,
        directory,
        environment_files,
        absent_files,
    } = container;
    let is_etcd = image
        .as_deref()
        .is_some_and(|image| base_name(image).contains("etcd"));
    if let Some(entrypoint) = entrypoint {
        words.insert(0, entrypoint);
    } else if is_etcd && words.first().is_none_or(|word| word.starts_with('-')) {
        words.insert(0, "etcd".to_owned());
    }
    let inner = Start {
        words,
        variables,
        // Of the image, unless somebody says.
        directory,
        unresolved: start.unresolved.clone(),
    };
    let mut understood = follow(inner, None, depth)?;
    understood.environment_files.extend(environment_files);
    understood.absent_files.extend(absent_files.clone());
    let mut wrapper = wrapper(WrapperKind::Container, program);
    wrapper.container = name;
    wrapper.image = image;
    wrapper.mounts = mounts;
    wrapper.understood = understood.unknown.is_empty() && absent_files.is_empty();
    understood.wrapper = Some(wrapper);
    Some(understood)
}

/// `docker start etcd`: all is in the container, and only the engine knows.
fn existing_container(program: &str, words: &[String]) -> Option<Understood> {
    let at = words.iter().position(|word| word == "start")?;
    let name = words
        .get(at + 1..)?
        .iter()
        .find(|word| !word.starts_with('-'))?;
    if !name.contains("etcd") {
        return None;
    }
    let mut wrapper = wrapper(WrapperKind::Container, program);
    wrapper.container = Some(name.clone());
    wrapper.understood = false;
    Some(Understood {
        wrapper: Some(wrapper),
        unknown: vec![format!("{} start {name}", base_name(program))],
        ..Understood::default()
    })
}

/// rkt is no more; what it gives etcd stands behind two dashes.
fn of_rkt(program: &str, start: &Start) -> Option<Understood> {
    let image = start
        .words
        .iter()
        .find(|word| word.contains("etcd") && !word.starts_with('-'))?;
    let mut after = start.words.iter().skip_while(|word| *word != "--").skip(1);
    let mut words = vec!["etcd".to_owned()];
    words.extend(after.by_ref().take_while(|word| *word != "---").cloned());
    let mut wrapper = wrapper(WrapperKind::Container, program);
    wrapper.image = Some(image.clone());
    wrapper.understood = false;
    Some(Understood {
        start: Start {
            words,
            unresolved: start.unresolved.clone(),
            ..Start::default()
        },
        wrapper: Some(wrapper),
        unknown: vec!["what rkt mounts, and which variables it passes on".to_owned()],
        ..Understood::default()
    })
}

/// `etcd-wrapper` of Flatcar: a container in which the data is always at `/var/lib/etcd`, whatever `ETCD_DATA_DIR` says that it is on
/// the machine, and which drops `ETCD_NAME` where the name is given as a flag.
fn of_flatcar(program: &str, start: Start) -> Understood {
    const DATA: &str = "/var/lib/etcd";
    let Start {
        mut words,
        mut variables,
        unresolved,
        ..
    } = start;
    if let Some(first) = words.first_mut() {
        "etcd".clone_into(first);
    }
    let value = |name: &str| {
        let variable = variables.iter().find(|it| it.name == name);
        variable
            .map(|it| it.value.clone())
            .filter(|value| !value.is_empty())
    };
    let mount = |volume: &str, host: Option<String>, path: &str, read_only| {
        host.map(|host| Mount {
            volume: volume.to_owned(),
            mount_path: PathBuf::from(path),
            host_path: Some(PathBuf::from(host)),
            host_path_type: String::new(),
            read_only,
        })
    };
    let image = value("ETCD_IMAGE").or_else(|| {
        Some(format!(
            "{}:{}",
            value("ETCD_IMAGE_URL")?,
            value("ETCD_IMAGE_TAG")?
        ))
    });
    let mounts = [
        mount("data", value("ETCD_DATA_DIR"), DATA, false),
        mount(
            "certificates",
            value("ETCD_SSL_DIR"),
            "/etc/ssl/certs",
            true,
        ),
        mount(
            "authorities",
            Some("/usr/share/ca-certificates".to_owned()),
            "/usr/share/ca-certificates",
            true,
        ),
        mount("run", Some("/run".to_owned()), "/run", false),
    ];
    let mut wrapper = wrapper(WrapperKind::Container, program);
    wrapper.container = Some("etcd-member".to_owned());
    wrapper.image = image;
    wrapper.mounts = mounts.into_iter().flatten().collect();
    let names = |word: &String| {
        let flag = word.trim_start_matches('-');
        word.starts_with('-') && (flag == "name" || flag.starts_with("name="))
    };
    if words.iter().any(names) {
        variables.retain(|variable| variable.name != "ETCD_NAME");
    }
    if let Some(data) = variables
        .iter_mut()
        .find(|variable| variable.name == "ETCD_DATA_DIR")
    {
        DATA.clone_into(&mut data.value);
    }
    Understood {
        start: Start {
            words,
            variables,
            directory: None,
            unresolved,
        },
        wrapper: Some(wrapper),
        ..Understood::default()
    }
}

pub(super) fn wrapper(kind: WrapperKind, program: &str) -> Wrapper {
    Wrapper {
        kind,
        program: PathBuf::from(program),
        container: None,
        image: None,
        mounts: Vec::new(),
        understood: true,
    }
}
