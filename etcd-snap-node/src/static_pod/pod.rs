//! Of a Pod only what says how etcd runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Pod {
    pub(super) kind: Option<String>,
    pub(super) metadata: Option<Metadata>,
    pub(super) spec: Option<Spec>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    pub(super) containers: Option<Vec<Container>>,
    pub(super) volumes: Option<Vec<Volume>>,
    pub(super) node_name: Option<String>,
    pub(super) security_context: Option<SecurityContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Option<String>,
    pub(super) image: Option<String>,
    pub(super) command: Option<Vec<String>>,
    pub(super) args: Option<Vec<String>>,
    pub(super) working_dir: Option<PathBuf>,
    pub(super) env: Option<Vec<EnvVar>>,
    pub(super) volume_mounts: Option<Vec<VolumeMount>>,
    pub(super) security_context: Option<SecurityContext>,
}

/// Of a container it goes before that of its pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecurityContext {
    pub(super) run_as_user: Option<i64>,
    pub(super) run_as_group: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EnvVar {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValueFrom {
    pub(super) field_ref: Option<FieldRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FieldRef {
    pub(super) field_path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount {
    pub(super) name: Option<String>,
    pub(super) mount_path: Option<PathBuf>,
    pub(super) sub_path: Option<String>,
    pub(super) sub_path_expr: Option<String>,
    pub(super) read_only: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume {
    pub(super) name: Option<String>,
    pub(super) host_path: Option<HostPath>,
    /// The word for every other kind of volume, like `emptyDir`.
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct HostPath {
    pub(super) path: Option<PathBuf>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

impl Pod {
    pub(super) fn name(&self) -> &str {
        self.metadata
            .as_ref()
            .and_then(|it| it.name.as_deref())
            .unwrap_or_default()
    }

    /// The user, unless it is root, and the group of a container.
    pub(super) fn runs_as(&self, container: &Container) -> (Option<u32>, Option<u32>) {
        let pods = self
            .spec
            .as_ref()
            .and_then(|it| it.security_context.as_ref());
        let own = container.security_context.as_ref();
        let number = |field: fn(&SecurityContext) -> Option<i64>| {
            let number = own.and_then(field).or_else(|| pods.and_then(field))?;
            u32::try_from(number).ok()
        };
        let user = number(|it| it.run_as_user).filter(|user| *user != 0);
        (user, number(|it| it.run_as_group))
    }

    pub(super) fn namespace(&self) -> &str {
        self.metadata
            .as_ref()
            .and_then(|it| it.namespace.as_deref())
            .unwrap_or("default")
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata.as_ref()?.labels.as_ref()?;
        labels.get(name).map(String::as_str)
    }

    /// Whether it was read from the API server and not written by hand or by kubeadm.
    pub(super) fn is_mirror(&self) -> bool {
        let annotations = self
            .metadata
            .as_ref()
            .and_then(|it| it.annotations.as_ref());
        annotations.is_some_and(|it| it.contains_key("kubernetes.io/config.mirror"))
    }

    pub(super) fn containers(&self) -> &[Container] {
        let containers = self.spec.as_ref().and_then(|it| it.containers.as_deref());
        containers.unwrap_or_default()
    }

    pub(super) fn volumes(&self) -> &[Volume] {
        let volumes = self.spec.as_ref().and_then(|it| it.volumes.as_deref());
        volumes.unwrap_or_default()
    }
}
