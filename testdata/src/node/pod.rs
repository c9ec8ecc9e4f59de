//! A static pod's manifest, and what running it means below the root of a machine's tree.
//!
//! Read without any of the code that the tests are about, so that a misunderstanding there cannot hide here.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::below;

/// As much of a pod as decides what runs where.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pod {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Clone, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Spec {
    containers: Vec<Container>,
    #[serde(default)]
    volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<Variable>,
    #[serde(default)]
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Debug, Clone, Deserialize)]
struct Variable {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeMount {
    name: String,
    mount_path: PathBuf,
    #[serde(default)]
    sub_path: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    host_path: Option<HostPath>,
}

#[derive(Debug, Clone, Deserialize)]
struct HostPath {
    path: PathBuf,
    #[serde(default, rename = "type")]
    kind: String,
}

/// What the first container of a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Etcd,
    /// With the port that it listens at.
    ApiServer(u16),
    Other,
}

impl Pod {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let pod: Pod = serde_saphyr::from_str(text)?;
        if pod.spec.containers.is_empty() {
            bail!("a pod without containers");
        }
        Ok(pod)
    }

    pub(super) fn name(&self) -> &str {
        &self.metadata.name
    }

    pub(super) fn program(&self) -> Result<Program> {
        let words = self.words();
        let name = words.first().map(Path::new).and_then(Path::file_name);
        Ok(match name.and_then(|name| name.to_str()) {
            Some("etcd") => Program::Etcd,
            Some("kube-apiserver") => {
                let port = words
                    .iter()
                    .find_map(|word| word.strip_prefix("--secure-port="));
                let port = port.context("the API server has no --secure-port")?;
                Program::ApiServer(port.parse().context("--secure-port")?)
            }
            _ => Program::Other,
        })
    }

    /// The command of the first container, with its paths on the machine; `layer` is what the container has for itself.
    pub(super) fn command(&self, mut command: Command, root: &Path, layer: &Path) -> Command {
        let on_machine = |value: &str| {
            if value.starts_with('/') {
                self.on_machine(Path::new(value), root, layer)
                    .into_os_string()
            } else {
                value.into()
            }
        };
        for word in self.words().into_iter().skip(1) {
            match word.split_once('=') {
                Some((flag, value)) if flag.starts_with('-') => {
                    let mut word = std::ffi::OsString::from(format!("{flag}="));
                    word.push(on_machine(value));
                    command.arg(word);
                }
                _ => {
                    command.arg(on_machine(word));
                }
            }
        }
        for container in self.spec.containers.iter().take(1) {
            for variable in &container.env {
                command.env(&variable.name, on_machine(&variable.value));
            }
        }
        // Where relative paths begin; an image's own directory is gone with its container.
        command.current_dir(layer);
        command
    }

    /// Looks at every hostPath as kubelet does, and creates what it would create.
    pub(super) fn prepare_volumes(&self, root: &Path) -> Result<()> {
        for volume in &self.spec.volumes {
            let Some(host_path) = &volume.host_path else {
                continue;
            };
            let path = below(root, &host_path.path);
            let met = match host_path.kind.as_str() {
                // The runtime creates what it is told to mount.
                "DirectoryOrCreate" | "" => path.exists() || fs::create_dir_all(&path).is_ok(),
                "Directory" => path.is_dir(),
                "FileOrCreate" => path.exists() || fs::write(&path, "").is_ok(),
                "File" => path.is_file(),
                other => bail!("a hostPath of type {other}, which this kubelet does not know"),
            };
            if !met {
                bail!(
                    "hostPath type check failed: {} is not a {}",
                    host_path.path.display(),
                    host_path.kind
                );
            }
        }
        Ok(())
    }

    fn words(&self) -> Vec<&str> {
        let first = self.spec.containers.first();
        first
            .into_iter()
            .flat_map(|container| container.command.iter().chain(&container.args))
            .map(String::as_str)
            .collect()
    }

    /// The longest mount that the path is in decides; in none it is the container's own.
    fn on_machine(&self, path: &Path, root: &Path, layer: &Path) -> PathBuf {
        let mounts = self.spec.containers.iter().take(1);
        let mounts = mounts.flat_map(|container| &container.volume_mounts);
        let mount = mounts
            .filter(|mount| path.starts_with(&mount.mount_path))
            .max_by_key(|mount| mount.mount_path.components().count());
        let host_path = mount.and_then(|mount| {
            let volume = self.spec.volumes.iter().find(|it| it.name == mount.name)?;
            let rest = path.strip_prefix(&mount.mount_path).ok()?;
            let base = volume.host_path.as_ref()?.path.join(&mount.sub_path);
            // Joining nothing would leave a slash at the end.
            Some(if rest == Path::new("") {
                base
            } else {
                base.join(rest)
            })
        });
        match host_path {
            Some(path) => below(root, &path),
            None => layer.join(
                path.components()
                    .filter(|part| matches!(part, Component::Normal(_)))
                    .collect::<PathBuf>(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: etcd}
spec:
  containers:
  - name: etcd
    command: [/usr/local/bin/etcd, "--data-dir=/data/etcd/here"]
    args: [--cert-file, /pki/server.crt, --wal-dir=/wal, --name=a]
    volumeMounts:
    - {name: data, mountPath: /data}
    - {name: deeper, mountPath: /data/etcd, subPath: sub}
    - {name: pki, mountPath: /pki}
  volumes:
  - name: data
    hostPath: {path: /srv/data}
  - name: deeper
    hostPath: {path: /srv/deeper, type: DirectoryOrCreate}
  - name: pki
    hostPath: {path: /etc/pki, type: Directory}
"#;

    #[test]
    fn paths_are_those_of_the_longest_mount_below_the_root() -> Result<()> {
        let pod = Pod::parse(POD)?;
        assert_eq!(
            (pod.name(), pod.program()?),
            ("etcd", Program::Etcd),
            "{pod:?}"
        );
        let command = pod.command(Command::new("etcd"), Path::new("/tree"), Path::new("/own"));
        let words: Vec<_> = command.get_args().collect();
        assert_eq!(
            words,
            [
                "--data-dir=/tree/srv/deeper/sub/here",
                "--cert-file",
                "/tree/etc/pki/server.crt",
                "--wal-dir=/own/wal",
                "--name=a"
            ]
        );
        Ok(())
    }

    #[test]
    fn directories_are_made_only_where_the_type_says_so() -> Result<()> {
        let tree = tempfile::tempdir()?;
        let pod = Pod::parse(POD)?;
        let error = pod.prepare_volumes(tree.path()).unwrap_err().to_string();
        assert!(error.contains("/etc/pki is not a Directory"), "{error}");
        assert!(tree.path().join("srv/deeper").is_dir());
        assert!(!tree.path().join("etc/pki").exists());
        Ok(())
    }
}
