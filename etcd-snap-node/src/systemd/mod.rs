//! Services of systemd that run etcd: which files make them, and what command and variables come of those.

mod command;
mod containers;
mod environment_file;
mod expansion;
mod service;
mod settings;
mod shell;
mod syntax;
#[cfg(test)]
mod tests;
mod unit_files;
mod words;

use std::path::PathBuf;

use crate::invocation::Invocation;
use crate::{Finding, Mount, Root};
use settings::Settings;
use unit_files::Catalog;

pub(crate) use words::WrittenWord;

/// A service that runs etcd, or has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its name, like `etcd.service`.
    pub(crate) unit: String,
    /// Its file, where links lead to; `None` where only drop-ins are there.
    pub(crate) unit_file: Option<PathBuf>,
    /// Whether it is masked: it is never started.
    pub(crate) masked: bool,
    /// Other names of it.
    pub(crate) aliases: Vec<String>,
    /// What is applied after its file, in that order.
    pub(crate) drop_ins: Vec<PathBuf>,
    /// The files that its variables come from, in that order; those that are not there are not among them.
    pub(crate) environment_files: Vec<PathBuf>,
    /// The user that it runs as, unless root.
    pub(crate) user: Option<String>,
    /// Where it is started, as the machine knows it.
    pub(crate) working_directory: Option<PathBuf>,
    /// How etcd is started, as etcd sees it: with a wrapper, by that. `None` where no etcd is found in it.
    pub(crate) invocation: Option<Invocation>,
    /// What stands between systemd and etcd.
    pub(crate) wrapper: Option<Wrapper>,
    pub(crate) findings: Vec<Finding>,
}

/// The `ExecStart=` that count, as they are written in these files, a unit file and its drop-ins in their order: nothing is expanded.
pub(crate) fn written_commands(files: &[String]) -> Vec<String> {
    let mut settings = Settings::default();
    let assignments = files.iter().flat_map(|text| syntax::assignments(text));
    for assignment in assignments.filter(|it| it.section == "Service") {
        settings.take(assignment);
    }
    settings.commands
}

/// The words of such a command, and how they are written there; `None` where a quotation is not ended.
pub(crate) fn words_of(command: &str) -> Option<Vec<WrittenWord<'_>>> {
    words::written(command, words::Escapes::C).ok()
}

/// What starts etcd in place of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrapper {
    pub(crate) kind: WrapperKind,
    /// The program that systemd starts.
    pub(crate) program: PathBuf,
    /// The name of the container.
    pub(crate) container: Option<String>,
    /// Its image.
    pub(crate) image: Option<String>,
    /// What it mounts where. Without `understood` there may be more.
    pub(crate) mounts: Vec<Mount>,
    /// Whether all is known that it does to etcd's words and variables.
    pub(crate) understood: bool,
}

impl Wrapper {
    /// Whether etcd sees other files than the machine has.
    pub(crate) fn is_container(&self) -> bool {
        self.kind == WrapperKind::Container
    }
}

/// What kind of wrapper it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrapperKind {
    /// A shell, a script of one, or a program that starts another one.
    Shell,
    /// Docker, Podman, nerdctl, rkt.
    Container,
}

/// A distribution of Kubernetes that runs etcd by itself, and is here as a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kubernetes {
    /// The name of its service.
    pub(crate) unit: &'static str,
}

/// Every service of the machine that runs etcd, or whose name says so.
pub(crate) fn services(root: &Root) -> Vec<Service> {
    let catalog = Catalog::new(root);
    let services = catalog.services().into_iter();
    services
        .filter_map(|files| service::read(root, files, &[]))
        .collect()
}

/// A service as it will be when these files are there too: drop-ins in a directory of its own, and what they name.
pub(crate) fn service_with(
    root: &Root,
    unit: &str,
    coming: &[(PathBuf, String)],
) -> Option<Service> {
    let mut services = Catalog::new(root).services().into_iter();
    let mut files = services.find(|it| it.unit == unit)?;
    let drop_ins = coming.iter().map(|(path, _)| path.clone());
    files
        .drop_ins
        .extend(drop_ins.filter(|path| path.extension().is_some_and(|it| it == "conf")));
    files
        .drop_ins
        .sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    service::read(root, files, coming)
}

/// What is wrong with the directories of units themselves: those that cannot be looked into.
pub(crate) fn findings(root: &Root) -> Vec<Finding> {
    Catalog::new(root).findings
}

/// The services of k3s and RKE2 that are here and not masked. Their agents have no etcd.
pub(crate) fn kubernetes(root: &Root) -> Vec<Kubernetes> {
    let catalog = Catalog::new(root);
    ["k3s.service", "rke2-server.service"]
        .into_iter()
        .filter(|unit| catalog.has(unit))
        .map(|unit| Kubernetes { unit })
        .collect()
}
