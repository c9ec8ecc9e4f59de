//! The variables of a container, and `$(NAME)` in its words.

use super::pod::{Container, Pod};
use crate::invocation::Variable;

/// The variables of a container in their order; each may use those before it.
pub(super) struct Variables {
    pub(super) known: Vec<Variable>,
    /// Names of those whose value only kubelet knows, and where it takes it from.
    pub(super) unknown: Vec<(String, String)>,
}

impl Variables {
    pub(super) fn of(container: &Container, pod: &Pod, host: Option<&str>) -> Self {
        let mut variables = Self {
            known: Vec::new(),
            unknown: Vec::new(),
        };
        for entry in container.env.as_deref().unwrap_or_default() {
            let Some(name) = entry.name.clone() else {
                continue;
            };
            let field = entry
                .value_from
                .as_ref()
                .map(|from| from.field_ref.as_ref().and_then(|it| it.field_path.clone()));
            let value = match field {
                None => Some(variables.expand(entry.value.as_deref().unwrap_or_default())),
                Some(Some(field)) => {
                    let value = field_of(pod, &field, host);
                    if value.is_none() {
                        variables.unknown.push((name.clone(), field));
                    }
                    value
                }
                // Secrets and ConfigMaps, which a static pod cannot have.
                Some(None) => {
                    variables
                        .unknown
                        .push((name.clone(), "valueFrom".to_owned()));
                    None
                }
            };
            variables.known.retain(|it| it.name != name);
            if let Some(value) = value {
                variables.known.push(Variable {
                    name,
                    value,
                    file: None,
                });
            }
        }
        variables
    }

    /// Puts in what `$(NAME)` stands for. `$$` is `$`, and a name that is not known stays as it is written.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                expanded.push('$');
                rest = after;
                continue;
            }
            let named = after
                .strip_prefix('(')
                .and_then(|inner| inner.split_once(')'));
            match named.and_then(|(name, after)| Some((self.value(name)?, after))) {
                Some((value, after)) => {
                    expanded.push_str(value);
                    rest = after;
                }
                None => {
                    expanded.push('$');
                    rest = after;
                }
            }
        }
        expanded.push_str(rest);
        expanded
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let variable = self.known.iter().find(|it| it.name == name)?;
        Some(&variable.value)
    }
}

/// A mirror pod's name has the node's at its end already.
fn field_of(pod: &Pod, field: &str, host: Option<&str>) -> Option<String> {
    let node = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.node_name.as_deref())
        .or(host);
    match field {
        "metadata.name" if pod.is_mirror() => Some(pod.name().to_owned()),
        "metadata.name" => Some(format!("{}-{}", pod.name(), node?)),
        "metadata.namespace" => Some(pod.namespace().to_owned()),
        "spec.nodeName" => Some(node?.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_as_kubelet_does() {
        let pod: Pod = super::super::yaml::read(
            "metadata: {name: etcd}\nspec:\n  containers:\n  - env:\n    - {name: A, value: one}\n    - {name: B, value: '$(A) $(C)'}\n    - {name: C, value: late}\n    - name: IP\n      valueFrom: {fieldRef: {fieldPath: status.podIP}}\n    - name: POD\n      valueFrom: {fieldRef: {fieldPath: metadata.name}}\n    - {name: A, value: two}\n",
        )
        .unwrap();
        let variables = Variables::of(&pod.containers()[0], &pod, Some("node1"));
        for (text, expected) in [
            ("$(A)", "two"),
            ("$(B)", "one $(C)"),
            ("x$(POD)y", "xetcd-node1y"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$two"),
            ("$(IP)", "$(IP)"),
            ("$(D) $A ${A} $( $", "$(D) $A ${A} $( $"),
        ] {
            assert_eq!(variables.expand(text), expected, "{text}");
        }
        assert_eq!(
            variables.unknown,
            [("IP".to_owned(), "status.podIP".to_owned())]
        );
    }
}
