//! Static pods of etcd: what kubelet would run, and what that makes of etcd.

mod kubelet;
pub(crate) mod mounts;
mod pod;
mod program;
mod script;
mod variables;
mod yaml;

use std::path::{Path, PathBuf};

pub(crate) use self::kubelet::files;
use self::pod::{Container, Pod};
use self::program::Program;
use self::variables::Variables;
use crate::invocation::Invocation;
use crate::{Finding, Mount, Root};

/// What the manifests directories of a machine hold, as far as etcd is concerned.
#[derive(Debug, Default)]
pub(crate) struct StaticPods {
    /// Every member that a manifest starts.
    pub(crate) members: Vec<PodMember>,
    /// The API server's words, for where its etcd is.
    pub(crate) api_server: Option<ApiServer>,
    /// What is wrong with manifests, and belongs to no member.
    pub(crate) findings: Vec<Finding>,
}

/// A member that a static pod runs.
#[derive(Debug)]
pub(crate) struct PodMember {
    pub(crate) manifest: PathBuf,
    pub(crate) pod: String,
    pub(crate) namespace: String,
    /// Whether it has the labels that kubeadm gives it.
    pub(crate) has_kubeadm_labels: bool,
    pub(crate) container: String,
    pub(crate) image: Option<String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    /// Volumes that are no hostPath: their names, and the word for their kind.
    pub(crate) other_volumes: Vec<(String, String)>,
    pub(crate) invocation: Invocation,
    pub(crate) findings: Vec<Finding>,
}

/// kube-apiserver's manifest.
#[derive(Debug)]
pub(crate) struct ApiServer {
    pub(crate) manifest: PathBuf,
    pub(crate) words: Vec<String>,
    pub(crate) mounts: Vec<Mount>,
}

impl ApiServer {
    /// The value of one of its flags.
    pub(crate) fn flag(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.trim_start_matches('-').strip_prefix(name) else {
                continue;
            };
            match flag.strip_prefix('=') {
                Some(value) => return Some(value),
                None if flag.is_empty() => return words.next().map(String::as_str),
                None => {}
            }
        }
        None
    }
}

/// What tells which pod a manifest makes.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The name of the pod.
    pub(crate) name: String,
    /// What says what it is: its label, its name, the programs of its containers.
    pub(crate) words: Vec<String>,
}

/// Reads a manifest for it; `None` where that is no pod.
pub(crate) fn identity(manifest: &str) -> Option<Identity> {
    let pod: Pod = yaml::read(manifest).ok()?;
    if pod.kind.as_deref() != Some("Pod") {
        return None;
    }
    let name = Some(pod.name()).filter(|name| !name.is_empty())?.to_owned();
    let programs = pod.containers().iter().filter_map(|container| {
        let command = container.command.as_ref().or(container.args.as_ref())?;
        let program = Path::new(command.first()?).file_name()?;
        Some(program.to_str()?.to_owned())
    });
    let label = pod.label("component").map(str::to_owned);
    let words = label.into_iter().chain([name.clone()]).chain(programs);
    Some(Identity {
        words: words.collect(),
        name,
    })
}

/// The API server of one manifest, wherever that is; `None` where it has none, or cannot be read.
pub(crate) fn api_server(root: &Root, file: &Path) -> Option<ApiServer> {
    let mut found = StaticPods::default();
    found.look_at(root, file, None);
    found.api_server
}

/// Looks at every file that kubelet would run. `host` is the machine's name, which is part of a pod's.
pub(crate) fn members(root: &Root, host: Option<&str>) -> StaticPods {
    let mut found = StaticPods::default();
    let directories = kubelet::directories(root, &mut found.findings);
    for directory in &directories.watched {
        let files = kubelet::files(root, directory, &mut found.findings);
        let known = found.members.len();
        for file in &files {
            found.look_at(root, file, host);
        }
        found.note_extra_manifests(known);
    }
    if let Some(directory) = &directories.unwatched {
        found.note_unwatched(root, directory, &directories.watched);
    }
    found
}

impl StaticPods {
    fn look_at(&mut self, root: &Root, file: &Path, host: Option<&str>) {
        let text = match root.read_text(file) {
            Ok(text) => text,
            Err(error) => {
                self.findings.push(
                    Finding::error(
                        "manifest-unreadable",
                        format!("{error}: whether kubelet runs an etcd from it is not known"),
                    )
                    .with_remedy(
                        "run this as root, or take the file out of the manifests directory",
                    )
                    .at(file),
                );
                return;
            }
        };
        let pod = match yaml::read::<Pod>(&text) {
            Ok(pod) => pod,
            Err(problem) => {
                self.findings.push(not_understood(
                    file,
                    &text,
                    "manifest-not-yaml",
                    &format!("is no Pod in YAML or JSON, and kubelet skips it: {problem}"),
                ));
                return;
            }
        };
        if pod.kind.as_deref() != Some("Pod") || pod.containers().is_empty() {
            let what = match pod.kind.as_deref() {
                Some("Pod") => "has a Pod without containers".to_owned(),
                Some(kind) => format!("has a {kind} and no Pod"),
                None => "has no kind".to_owned(),
            };
            self.findings.push(not_understood(
                file,
                &text,
                "manifest-no-pod",
                &format!("{what}, and kubelet skips it"),
            ));
            return;
        }
        self.take(file, &pod, host);
    }

    fn take(&mut self, file: &Path, pod: &Pod, host: Option<&str>) {
        let mut members = Vec::new();
        for container in pod.containers() {
            let variables = Variables::of(container, pod, host);
            let words = words_of(container, &variables);
            let invocation = match program::of(&words) {
                Program::Etcd(words) => Invocation {
                    words,
                    variables: variables.known.clone(),
                    working_directory: container.working_dir.clone(),
                    unresolved: Vec::new(),
                },
                Program::Script(text) => match script::start(text, &variables) {
                    Some(start) => Invocation {
                        words: start.words,
                        variables: start.variables,
                        working_directory: container.working_dir.clone(),
                        unresolved: Vec::new(),
                    },
                    None if script::runs_etcd_manager(text) => {
                        self.findings.push(etcd_manager(file));
                        return;
                    }
                    None => continue,
                },
                Program::EtcdManager => {
                    self.findings.push(etcd_manager(file));
                    return;
                }
                Program::ApiServer => {
                    let mut unheard = Vec::new();
                    self.api_server = Some(ApiServer {
                        manifest: file.to_owned(),
                        mounts: mounts::of(container, pod, &variables, &mut unheard),
                        words,
                    });
                    continue;
                }
                Program::Other => match started_by_image(container, &variables, &words) {
                    Some(words) => Invocation {
                        words,
                        variables: variables.known.clone(),
                        working_directory: container.working_dir.clone(),
                        unresolved: Vec::new(),
                    },
                    None => continue,
                },
            };
            members.push(member(file, pod, container, &variables, invocation));
        }
        match members.len() {
            0 if means_etcd(file, pod) => self.findings.push(
                Finding::error(
                    "no-etcd-container",
                    format!(
                        "{} looks like etcd's manifest, and none of its containers ({}) runs etcd",
                        file.display(),
                        names(pod.containers())
                    ),
                )
                .with_remedy(
                    "correct the command of the container, which is to begin with the word etcd",
                )
                .at(file),
            ),
            0 | 1 => {}
            _ => {
                let containers: Vec<_> = members.iter().map(|it| it.container.as_str()).collect();
                let finding = Finding::error(
                    "two-etcd-containers",
                    format!(
                        "{} has {} containers that run etcd: {}",
                        file.display(),
                        members.len(),
                        containers.join(", ")
                    ),
                )
                .with_remedy("a pod has one etcd: take the others out of the manifest")
                .at(file);
                for member in &mut members {
                    member.findings.push(finding.clone());
                }
            }
        }
        self.members.extend(members);
    }

    /// kubelet runs every file of the directory, also one that is meant as a copy.
    fn note_extra_manifests(&mut self, known: usize) {
        let Some(here) = self.members.get(known..) else {
            return;
        };
        let mut files: Vec<PathBuf> = Vec::new();
        for member in here {
            if !files.contains(&member.manifest) {
                files.push(member.manifest.clone());
            }
        }
        let [first, _, ..] = files.as_slice() else {
            return;
        };
        let listed: Vec<_> = files.iter().map(|it| it.display().to_string()).collect();
        let same_pod = here
            .iter()
            .all(|member| here.first().is_some_and(|first| first.pod == member.pod));
        let consequence = if same_pod {
            "their pods have the same name, and which of them counts is a matter of chance"
        } else {
            "two etcds on the same ports or the same data stop each other"
        };
        let directory = first.parent().unwrap_or(Path::new("/")).to_owned();
        self.findings.push(
            Finding::error(
                "extra-manifest",
                format!(
                    "kubelet runs every file of {}, whatever it is called, and {} of them start an etcd: {}; {consequence}",
                    directory.display(),
                    files.len(),
                    listed.join(", ")
                ),
            )
            .with_remedy(
                "look which one is meant, and move the other out of that directory: another ending is not enough, kubelet passes over only \
                 names that begin with a dot",
            )
            .at(&directory),
        );
    }

    fn note_unwatched(&mut self, root: &Root, directory: &Path, watched: &[PathBuf]) {
        let mut unheard = Vec::new();
        let mut there = Self::default();
        for file in kubelet::files(root, directory, &mut unheard) {
            there.look_at(root, &file, None);
        }
        let elsewhere: Vec<_> = watched
            .iter()
            .take(1)
            .map(|it| it.display().to_string())
            .collect();
        for member in there.members {
            self.findings.push(
                Finding::warning(
                    "manifest-not-run",
                    format!(
                        "{} is a manifest of etcd that kubelet does not run: it is configured to look into {}",
                        member.manifest.display(),
                        elsewhere.join(", ")
                    ),
                )
                .at(&member.manifest),
            );
        }
    }
}

fn member(
    file: &Path,
    pod: &Pod,
    container: &Container,
    variables: &Variables,
    invocation: Invocation,
) -> PodMember {
    let mut findings = Vec::new();
    let mounts = mounts::of(container, pod, variables, &mut findings);
    let other_volumes = mounts
        .iter()
        .filter(|mount| mount.host_path.is_none())
        .filter_map(|mount| Some((mount.volume.clone(), mounts::kind_of(pod, &mount.volume)?)))
        .collect();
    let (run_as_user, run_as_group) = pod.runs_as(container);
    if pod.is_mirror() {
        findings.push(
            Finding::warning(
                "mirror-pod-dump",
                format!(
                    "{} was read from the API server and is not the manifest that kubelet was given: it has the annotation kubernetes.io/config.mirror",
                    file.display()
                ),
            )
            .with_remedy("let kubeadm write it anew, or take annotations, status, uid and nodeName out, and the node from the pod's name")
            .at(file),
        );
    }
    let unknown: Vec<_> = variables
        .unknown
        .iter()
        .filter(|(name, _)| {
            name.starts_with("ETCD_")
                || invocation
                    .words
                    .iter()
                    .any(|word| word.contains(&format!("$({name})")))
        })
        .map(|(name, field)| format!("{name} (from {field})"))
        .collect();
    if !unknown.is_empty() {
        findings.push(
            Finding::warning(
                "variable-unknown",
                format!(
                    "only kubelet knows what is in {}: settings that are made with it are not known here",
                    unknown.join(", ")
                ),
            )
            .at(file),
        );
    }
    PodMember {
        manifest: file.to_owned(),
        pod: pod.name().to_owned(),
        namespace: pod.namespace().to_owned(),
        has_kubeadm_labels: pod.label("component") == Some("etcd")
            && pod.label("tier") == Some("control-plane"),
        container: container.name.clone().unwrap_or_default(),
        image: container.image.clone(),
        mounts,
        run_as_user,
        run_as_group,
        other_volumes,
        invocation,
        findings,
    }
}

fn words_of(container: &Container, variables: &Variables) -> Vec<String> {
    let command = container.command.as_deref().unwrap_or_default();
    let args = container.args.as_deref().unwrap_or_default();
    command
        .iter()
        .chain(args)
        .map(|word| variables.expand(word))
        .collect()
}

/// An image of etcd starts it by itself, with the arguments that are flags, or by a script of its own that reads variables.
fn started_by_image(
    container: &Container,
    variables: &Variables,
    words: &[String],
) -> Option<Vec<String>> {
    if !program::is_image_of_etcd(container.image.as_deref()?) {
        return None;
    }
    let has_command = container
        .command
        .as_ref()
        .is_some_and(|words| !words.is_empty());
    let flags_only = !has_command && words.iter().all(|word| word.starts_with('-'));
    let is_script = words
        .first()
        .is_some_and(|word| word.ends_with("/entrypoint.sh") || word.ends_with("/run.sh"));
    let has_settings = variables
        .known
        .iter()
        .any(|variable| variable.name.starts_with("ETCD_"));
    if flags_only {
        let flags = words.iter().cloned();
        Some(std::iter::once("etcd".to_owned()).chain(flags).collect())
    } else if is_script && has_settings {
        Some(vec!["etcd".to_owned()])
    } else {
        None
    }
}

fn means_etcd(file: &Path, pod: &Pod) -> bool {
    let stem = file.file_name().and_then(|it| it.to_str());
    stem.is_some_and(|name| name.starts_with("etcd"))
        || pod.name() == "etcd"
        || pod.name().starts_with("etcd-")
        || pod.label("component") == Some("etcd")
}

/// A file that may have been etcd's is an error; another one is none of etcd's business, and yet said.
fn not_understood(file: &Path, text: &str, code: &str, what: &str) -> Finding {
    let name = file.file_name().and_then(|it| it.to_str());
    let message = format!("{} {what}", file.display());
    let finding = if name.is_some_and(|name| name.contains("etcd")) || text.contains("etcd") {
        Finding::error(code, message).with_remedy(
            "if it is etcd's manifest, correct it (kubeadm can write it anew: `kubeadm init phase etcd local`); else move it out of the manifests directory",
        )
    } else {
        Finding::note(code, message).with_remedy("move it out of the manifests directory")
    };
    finding.at(file)
}

fn etcd_manager(file: &Path) -> Finding {
    Finding::warning(
        "owned-by-kops",
        format!(
            "{} runs etcd-manager of kOps, which starts etcd itself and decides where its data and certificates are: no file of this machine says how",
            file.display()
        ),
    )
    .with_remedy("back up and restore with kOps' own tool, etcd-manager-ctl")
    .at(file)
}

fn names(containers: &[Container]) -> String {
    let names: Vec<_> = containers
        .iter()
        .map(|it| it.name.as_deref().unwrap_or("without a name"))
        .collect();
    names.join(", ")
}
