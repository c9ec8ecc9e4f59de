//! Every etcd of a machine: who starts one, what etcd makes of that, and where it leads on the machine.

mod compose;
mod doubts;
mod layout;
mod running;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::compose::{Described, Starter, View, describe};
use crate::certificates::{Inspection, Pair, inspect};
use crate::description::is_loopback;
use crate::invocation::Invocation;
use crate::static_pod::mounts::place;
use crate::static_pod::{self, ApiServer, PodMember};
use crate::systemd::{self, Service};
use crate::{Error, ErrorKind, Etcd, Finding, Layout, Mount, Node, Result, Root, RunBy};

/// Where to look.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    pub(crate) root: Root,
    pub(crate) now: SystemTime,
}

impl Default for DiscoverOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            now: SystemTime::now(),
        }
    }
}

impl DiscoverOptions {
    /// Looks at a machine's tree below this directory instead of this machine. Nothing is asked of this machine then: neither its
    /// processes nor its user database.
    #[must_use]
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// The time by which certificates are judged. Now, unless set.
    #[must_use]
    pub fn with_now(mut self, now: SystemTime) -> Self {
        self.now = now;
        self
    }
}

/// Finds every etcd of a machine: static pods of kubelet, services of systemd, that of k3s, and processes that nobody configures.
///
/// Reads files only, and `/proc`; starts nothing and asks nobody.
///
/// # Errors
/// `NotFound` where the root is no directory. What cannot be read or understood of a machine is a finding, not an error.
pub fn discover(options: &DiscoverOptions) -> Result<Node> {
    let root = &options.root;
    if !root.directory().is_dir() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{} is no directory", root.directory().display()),
        )
        .with_path(root.directory()));
    }
    let host = host(root);
    let mut findings = Vec::new();
    let mut described = Vec::new();

    let pods = static_pod::members(root, host.as_deref());
    findings.extend(pods.findings);
    let mut starters: Vec<_> = pods.members.into_iter().map(of_pod).collect();
    findings.extend(systemd::findings(root));
    for service in systemd::services(root) {
        starters.extend(of_service(service, &mut findings));
    }
    for starter in starters {
        match describe(root, starter) {
            Ok(one) => described.push(one),
            Err(more) => findings.extend(more),
        }
    }
    embedded(root, &mut described, &mut findings);
    running::add(root, &mut described, &mut findings);
    elsewhere(root, pods.api_server.as_ref(), &described, &mut findings);

    let inspection = inspection(options, pods.api_server.as_ref());
    let etcds = described
        .into_iter()
        .map(|Described { mut etcd, .. }| {
            doubts::look(root, &mut etcd);
            inspect(&mut etcd, &inspection);
            etcd
        })
        .collect();
    Ok(Node {
        schema: 1,
        root: root.directory().to_owned(),
        host,
        etcds,
        findings,
    })
}

/// The etcd of a unit as it will be when these files are there too; `None` where the unit starts none then.
pub(crate) fn of_unit_with(root: &Root, unit: &str, coming: &[(PathBuf, String)]) -> Option<Etcd> {
    let service = systemd::service_with(root, unit, coming)?;
    let starter = of_service(service, &mut Vec::new())?;
    describe(root, starter).ok().map(|described| described.etcd)
}

fn host(root: &Root) -> Option<String> {
    let written = root.read_text(Path::new("/etc/hostname")).ok();
    let written = written.and_then(|text| {
        let mut lines = text.lines().map(str::trim);
        lines
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
    });
    match written {
        None if root.is_this_machine() => {
            let named = rustix::system::uname();
            Some(named.nodename().to_string_lossy().into_owned())
        }
        written => written,
    }
}

fn of_pod(pod: PodMember) -> Starter {
    let PodMember {
        manifest,
        pod,
        container,
        image,
        namespace,
        has_kubeadm_labels,
        mounts,
        run_as_user,
        run_as_group,
        other_volumes,
        invocation,
        mut findings,
    } = pod;
    for (volume, kind) in &other_volumes {
        findings.push(
            Finding::note(
                "volume-elsewhere",
                format!("the volume {volume:?} of etcd's pod is of the kind {kind}: what it holds is on no path of this machine"),
            )
            .at(&manifest),
        );
    }
    let layout = match namespace.as_str() {
        "openshift-etcd" => Some(Layout::OpenShift),
        _ if has_kubeadm_labels
            && manifest.starts_with("/etc/kubernetes")
            && !is_of_minikube(&mounts) =>
        {
            Some(Layout::Kubeadm)
        }
        _ => None,
    };
    Starter {
        run_by: RunBy::StaticPod {
            manifest,
            pod,
            container,
            image: image.clone(),
            mounts: mounts.clone(),
            run_as_user,
            run_as_group,
        },
        invocation,
        view: View::Container(mounts),
        image,
        layout,
        findings,
    }
}

/// minikube has kubeadm make its manifests.
fn is_of_minikube(mounts: &[Mount]) -> bool {
    mounts.iter().any(|mount| {
        let host = mount.host_path.as_deref();
        host.is_some_and(|host| host.starts_with("/var/lib/minikube"))
    })
}

/// Of a service without an etcd in it, only what was found stays.
fn of_service(service: Service, findings: &mut Vec<Finding>) -> Option<Starter> {
    let (Some(invocation), false) = (service.invocation, service.masked) else {
        findings.extend(service.findings);
        return None;
    };
    // Of a unit that only has drop-ins, the place where a package would have put its file.
    let packaged = || Path::new("/usr/lib/systemd/system").join(&service.unit);
    let unit_file = service.unit_file.unwrap_or_else(packaged);
    let (view, image) = match service.wrapper {
        Some(wrapper) if wrapper.is_container() => {
            let mut mounts = wrapper.mounts;
            for mount in &mut mounts {
                let host = mount.host_path.take();
                // What a shell decides about leads nowhere that is known.
                mount.host_path = host
                    .filter(|host| !host.to_str().is_some_and(|it| invocation.is_unresolved(it)));
            }
            (View::Container(mounts), wrapper.image)
        }
        _ => (View::Machine, None),
    };
    Some(Starter {
        run_by: RunBy::Systemd {
            unit: service.unit,
            unit_file,
            drop_ins: service.drop_ins,
            environment_files: service.environment_files,
            user: service.user,
        },
        invocation,
        view,
        image,
        layout: None,
        findings: service.findings,
    })
}

/// k3s runs etcd within itself, and RKE2 starts it from the same kind of file.
fn embedded(root: &Root, described: &mut Vec<Described>, findings: &mut Vec<Finding>) {
    for (name, service) in [("k3s", "k3s.service"), ("rke2", "rke2-server.service")] {
        let file = PathBuf::from(format!("/var/lib/rancher/{name}/server/db/etcd/config"));
        let known = described
            .iter()
            .any(|it| it.configuration.config_file.as_ref() == Some(&file));
        if known {
            continue;
        }
        if !root.exists(&file) {
            let installed = systemd::kubernetes(root)
                .iter()
                .any(|it| it.unit == service);
            if installed {
                findings.push(
                    Finding::note(
                        "no-embedded-etcd",
                        format!("{service} is here, and no configuration of an etcd in it: it has not started one yet, or uses another database"),
                    )
                    .at(&file),
                );
            }
            continue;
        }
        let starter = Starter {
            run_by: RunBy::Embedded {
                service: service.to_owned(),
            },
            invocation: Invocation {
                words: vec![
                    "etcd".to_owned(),
                    format!("--config-file={}", file.display()),
                ],
                ..Invocation::default()
            },
            view: View::Machine,
            image: None,
            layout: None,
            findings: Vec::new(),
        };
        match describe(root, starter) {
            Ok(one) => described.push(one),
            Err(more) => findings.extend(more),
        }
    }
}

/// Where the etcd of a cluster is that has none on this machine.
fn elsewhere(
    root: &Root,
    api_server: Option<&ApiServer>,
    described: &[Described],
    findings: &mut Vec<Finding>,
) {
    if !described.is_empty() {
        return;
    }
    if let Some(api_server) = api_server
        && let Some(servers) = api_server.flag("etcd-servers")
    {
        let pair = match (
            api_server.flag("etcd-certfile"),
            api_server.flag("etcd-keyfile"),
        ) {
            (Some(certificate), Some(key)) => {
                format!(", with the certificate {certificate} and the key {key}")
            }
            _ => String::new(),
        };
        let local = servers.split(',').all(is_loopback);
        let (code, words) = match local {
            true => (
                "etcd-manifest-missing",
                "on this machine, where no manifest or unit starts one",
            ),
            false => ("etcd-elsewhere", "on other machines"),
        };
        let finding = match local {
            true => Finding::error(
                code,
                format!("the API server's etcd is {words}: {servers}{pair}"),
            ),
            false => Finding::note(
                code,
                format!("the API server's etcd is {words}: {servers}{pair}"),
            ),
        };
        findings.push(
            finding
                .with_remedy("name these with --endpoints, --cacert, --cert and --key; recover on the machines of etcd itself")
                .at(&api_server.manifest),
        );
    }
    let release = root
        .read_text(Path::new("/etc/os-release"))
        .unwrap_or_default();
    if release
        .lines()
        .any(|line| matches!(line.trim(), "ID=talos" | "ID=\"talos\""))
    {
        findings.push(
            Finding::note("talos", "this is Talos, which runs etcd without a manifest or a unit that could be read")
                .with_remedy("`talosctl etcd snapshot` takes a snapshot, `talosctl bootstrap --recover-from=FILE` brings the cluster back"),
        );
    }
}

/// What the API server shows to etcd, any client may show.
fn inspection<'o>(options: &'o DiscoverOptions, api_server: Option<&ApiServer>) -> Inspection<'o> {
    let on_machine = |flag: &str| {
        let api_server = api_server?;
        place(&api_server.mounts, Path::new(api_server.flag(flag)?)).host
    };
    let pair = match (on_machine("etcd-certfile"), on_machine("etcd-keyfile")) {
        (Some(certificate), Some(key)) => Some(Pair::new(
            certificate,
            key,
            "the pair that the API server shows",
        )),
        _ => None,
    };
    Inspection {
        root: &options.root,
        now: options.now,
        pairs: pair.into_iter().collect(),
        authorities: on_machine("etcd-cafile").into_iter().collect(),
    }
}
