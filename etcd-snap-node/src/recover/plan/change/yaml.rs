//! One scalar of a YAML or JSON text gets another value, and everything else stays as it is, byte for byte.

use std::str::FromStr;

use serde_json::Value;
use yaml_edit::{Document, YamlFile, YamlNode};

/// A step on the way to a scalar.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// The value of this key.
    Key(&'a str),
    /// The item of a list that has this `name`.
    Named(&'a str),
}

/// The text with another value at this place. The value has to mean itself without quotes, and in quotes of either kind.
///
/// The scalar is found in a tree that knows where each node stands in the text; only its bytes are exchanged. The result is read again
/// with another parser, and must differ in that one value. `Err`: why it is left alone.
pub(super) fn set_scalar(text: &str, path: &[Step<'_>], new: &str) -> Result<String, String> {
    let file = YamlFile::from_str(text).map_err(|e| format!("it is not understood: {e}"))?;
    let documents: Vec<Document> = file.documents().collect();
    let [document] = documents.as_slice() else {
        return Err(format!("there are {} documents in it", documents.len()));
    };
    let scalar = find(document, path)?;
    let range = scalar.byte_range();
    let (start, end) = (range.start as usize, range.end as usize);
    let (Some(head), Some(old), Some(tail)) =
        (text.get(..start), text.get(start..end), text.get(end..))
    else {
        return Err("its place in the text is not found".to_owned());
    };
    let after = format!("{head}{}{tail}", requoted(old, new)?);
    require_one_change(text, &after, path, new)?;
    Ok(after)
}

fn find(document: &Document, path: &[Step<'_>]) -> Result<YamlNode, String> {
    let mut node: Option<YamlNode> = None;
    for step in path {
        node = Some(match step {
            Step::Key(key) => match &node {
                None => document.get(*key),
                Some(node) => node.get(*key),
            }
            .ok_or_else(|| format!("there is no {key:?} where it should be"))?,
            Step::Named(name) => {
                let items = node.as_ref().and_then(YamlNode::as_sequence);
                let items =
                    items.ok_or_else(|| "there is no list where one should be".to_owned())?;
                let named = |item: &YamlNode| {
                    let found = item.get("name");
                    let found = found.as_ref().and_then(YamlNode::as_scalar);
                    found.is_some_and(|it| it.as_string() == *name)
                };
                let mut found = items.values().filter(named);
                match (found.next(), found.next()) {
                    (Some(found), None) => found,
                    (None, _) => return Err(format!("there is no item with the name {name:?}")),
                    _ => return Err(format!("there are several items with the name {name:?}")),
                }
            }
        });
    }
    node.ok_or_else(|| "there is nothing to change".to_owned())
}

/// In the quotes that the old one had. An alias becomes the value itself.
fn requoted(old: &str, new: &str) -> Result<String, String> {
    let quote = |quote: char| {
        let inner = old.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then(|| format!("{quote}{new}{quote}"))
    };
    if let Some(quoted) = quote('"').or_else(|| quote('\'')) {
        return Ok(quoted);
    }
    let odd = |it: char| it.is_whitespace() || "&!|>\"'#{}[],".contains(it);
    if old.is_empty() || old.contains(odd) {
        return Err(format!("{old:?} is no plain or quoted word"));
    }
    Ok(new.to_owned())
}

/// Read by the parser that reads manifests everywhere else here.
fn require_one_change(
    before: &str,
    after: &str,
    path: &[Step<'_>],
    new: &str,
) -> Result<(), String> {
    let read = |text| {
        serde_saphyr::from_str::<Value>(text).map_err(|e| format!("it cannot be read again: {e}"))
    };
    let (mut expected, found) = (read(before)?, read(after)?);
    let place = place(&mut expected, path).ok_or("it is read differently by another parser")?;
    if !place.is_string() {
        return Err("it is not a text".to_owned());
    }
    *place = Value::String(new.to_owned());
    match expected == found {
        true => Ok(()),
        false => Err("it is used in several places, and another one would change too".to_owned()),
    }
}

fn place<'a>(value: &'a mut Value, path: &[Step<'_>]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(*key),
        Step::Named(name) => value
            .as_array_mut()?
            .iter_mut()
            .find(|item| item.get("name").and_then(Value::as_str) == Some(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: [Step<'_>; 5] = [
        Step::Key("spec"),
        Step::Key("volumes"),
        Step::Named("etcd-data"),
        Step::Key("hostPath"),
        Step::Key("path"),
    ];

    fn changed(text: &str) -> Result<String, String> {
        set_scalar(text, &PATH, "/new")
    }

    /// The one place is `@OLD@` in it.
    fn changes_only_there(template: &str, old: &str, new: &str) {
        assert_eq!(template.matches("@OLD@").count(), 1, "{template}");
        for ends in ["\n", "\r\n"] {
            let template = template.replace('\n', ends);
            for template in [template.as_str(), template.trim_end()] {
                let before = template.replace("@OLD@", old);
                let after = template.replace("@OLD@", new);
                assert_eq!(changed(&before), Ok(after), "{before}");
            }
        }
    }

    #[test]
    fn comments_layout_quotes_line_ends_and_a_missing_last_one_survive() {
        for (old, new) in [
            ("/var/lib/etcd", "/new"),
            ("\"/var/lib/etcd\"", "\"/new\""),
            ("'/var/lib/etcd'", "'/new'"),
            ("\"/var/lib/\\x65tcd\"", "\"/new\""),
        ] {
            for template in [
                "spec:\n  volumes:\n  - hostPath:\n      path: @OLD@\n    name: etcd-data\n",
                "# /var/lib/etcd\nspec:\n  volumes:\n    # here\n    -   name:   etcd-data   # data\n        hostPath:\n            type: \"\"\n            \
                 path:     @OLD@    # was:\t/var/lib/etcd\n\n\n",
                "---\nspec:\n  containers:\n  - command: [etcd, --data-dir=/var/lib/etcd]\n    volumeMounts:\n    - {mountPath: /var/lib/etcd, \
                 name: etcd-data}\n  volumes:\n  - {name: etcd-certs, hostPath: {path: /var/lib/etcd}}\n  - {name: \"etcd-data\", hostPath: {path: \
                 @OLD@, type: Directory}}\n",
                "spec:\n  volumes:\n  - name: other\n    hostPath: &h\n      path: /var/lib/etcd\n  - name: more\n    hostPath: *h\n  - name: 'etcd-data'\n    \
                 hostPath:\n      path: @OLD@\n",
                "spec: {\"volumes\": [{\"hostPath\": {\"path\": @OLD@, \"type\": \"\"}, \"name\": \"etcd-data\"}]}\n",
            ] {
                changes_only_there(template, old, new);
            }
        }
    }

    #[test]
    fn a_manifest_that_is_json_stays_json() {
        changes_only_there(
            "{\n  \"spec\": {\n    \"volumes\": [\n      {\n        \"name\": \"etcd-data\",\n        \"hostPath\": {\n          \"path\": @OLD@\n        }\n      \
             }\n    ]\n  }\n}\n",
            "\"/var/lib/etcd\"",
            "\"/new\"",
        );
    }

    #[test]
    fn an_alias_becomes_the_value_and_its_anchor_stays() {
        changes_only_there(
            "x: &p /var/lib/etcd\nspec:\n  volumes:\n  - name: etcd-data\n    hostPath:\n      path: @OLD@\n",
            "*p",
            "/new",
        );
    }

    #[test]
    fn what_cannot_be_changed_alone_is_left_alone() {
        for (text, words) in [
            (
                "spec:\n  volumes:\n  - name: etcd-data\n    hostPath:\n      path: &p /var/lib/etcd\n  - name: b\n    hostPath:\n      path: *p\n",
                "several places",
            ),
            (
                "spec:\n  volumes:\n  - name: b\n    hostPath: &h\n      path: /var/lib/etcd\n  - name: etcd-data\n    hostPath: *h\n",
                "no \"path\"",
            ),
            (
                "spec:\n  volumes:\n  - name: etcd-data\n    hostPath:\n      path: |-\n        /var/lib/etcd\n",
                "no plain or quoted",
            ),
            (
                "spec:\n  volumes:\n  - name: etcd-data\n    hostPath:\n      path: /a\n  - name: etcd-data\n    hostPath:\n      path: /b\n",
                "several items",
            ),
            (
                "spec:\n  volumes:\n  - name: etcd-data\n    emptyDir: {}\n",
                "no \"hostPath\"",
            ),
            (
                "spec:\n  volumes:\n  - name: other\n    hostPath: {path: /a}\n",
                "no item",
            ),
            ("spec:\n  volumes: {}\n", "no list"),
            ("a: 1\n---\nb: 2\n", "2 documents"),
            ("spec: [\n", "not understood"),
            ("", ""),
            (
                "spec:\n  volumes:\n  - name: etcd-data\n    hostPath:\n      path: 7\n",
                "not a text",
            ),
        ] {
            let why = changed(text).unwrap_err();
            assert!(why.contains(words), "{text:?}: {why}");
        }
    }
}
