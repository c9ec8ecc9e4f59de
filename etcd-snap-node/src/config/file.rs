//! etcd's configuration file: YAML or JSON, whose keys are those of the flags, but for TLS.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::flags::{self, Flag, Kind};
use super::values;
use crate::Finding;

/// What a configuration file sets, by the names of the flags, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) settings: BTreeMap<String, String>,
    pub(super) findings: Vec<Finding>,
}

/// The keys of `client-transport-security` and `peer-transport-security`, and what kind of flag they are.
const SECURITY: &[(&str, Kind)] = &[
    ("allowed-cn", Kind::List),
    ("allowed-hostname", Kind::List),
    ("auto-tls", Kind::Switch),
    ("cert-file", Kind::Text),
    ("client-cert-auth", Kind::Switch),
    ("client-cert-file", Kind::Text),
    ("client-key-file", Kind::Text),
    ("key-file", Kind::Text),
    ("skip-client-san-verification", Kind::Switch),
    ("trusted-ca-file", Kind::Text),
];

/// Flags that the file does not have.
const NOT_IN_FILE: &[&str] = &[
    "client-crl-file",
    "config-file",
    "experimental-snapshot-catchup-entries",
    "peer-crl-file",
    "raft-read-timeout",
    "raft-write-timeout",
    "version",
];

pub(super) fn read(path: &Path, text: &str) -> Content {
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    let parsed: Result<Option<BTreeMap<String, Value>>, _> =
        serde_saphyr::from_str_with_options(text, options);
    let mut content = Content::default();
    match parsed {
        Ok(keys) => {
            for (key, value) in keys.unwrap_or_default() {
                content.take(path, &key, &value);
            }
        }
        Err(error) => content.findings.push(
            Finding::error(
                "config-file-invalid",
                format!(
                    "{} cannot be understood, and etcd does not start with it: {error}",
                    path.display()
                ),
            )
            .with_remedy("correct the file; it is a list of lines like `data-dir: /var/lib/etcd`")
            .at(path),
        ),
    }
    content
}

impl Content {
    fn take(&mut self, path: &Path, key: &str, value: &Value) {
        // Go finds the fields of a structure whatever their case.
        match key.to_ascii_lowercase().as_str() {
            "client-transport-security" => self.take_security(path, "client", key, value),
            "peer-transport-security" => self.take_security(path, "peer", key, value),
            "socket-options" => self.take_socket_options(path, key, value),
            "discovery-config" => {
                // For the one start that finds the cluster. What else is below it are secrets.
                let endpoints = value.pointer("/client/endpoints").unwrap_or(&Value::Null);
                self.set(path, key, "discovery-endpoints", Kind::List, endpoints);
            }
            "experimental-snapshot-catch-up-entries" => {
                self.set(
                    path,
                    key,
                    "experimental-snapshot-catchup-entries",
                    Kind::Unsigned,
                    value,
                );
            }
            "grpc-additional-server-options" => {}
            lower => match flags::flag(lower).filter(in_file) {
                Some(flag) => self.set(path, key, flag.name, flag.kind, value),
                None => self.lost(path, key, lower),
            },
        }
    }

    fn take_security(&mut self, path: &Path, side: &str, key: &str, value: &Value) {
        let keys = match value {
            Value::Object(keys) => keys,
            Value::Null => return,
            _ => return self.invalid(path, key, value, "has no keys below it"),
        };
        for (below, value) in keys {
            let lower = below.to_ascii_lowercase();
            let full = format!("{key}.{below}");
            match SECURITY.iter().find(|(name, _)| *name == lower) {
                Some((name, kind)) => {
                    self.set(path, &full, &security_flag(side, name), *kind, value);
                }
                None => self.lost_below(path, side, key, below, &lower),
            }
        }
    }

    fn take_socket_options(&mut self, path: &Path, key: &str, value: &Value) {
        let Value::Object(keys) = value else { return };
        for (below, value) in keys {
            let flag = match below.to_ascii_lowercase().as_str() {
                "reuse-port" => "socket-reuse-port",
                "reuse-address" => "socket-reuse-address",
                _ => {
                    self.unknown(path, &format!("{key}.{below}"));
                    continue;
                }
            };
            self.set(path, &format!("{key}.{below}"), flag, Kind::Switch, value);
        }
    }

    fn set(&mut self, path: &Path, key: &str, flag: &str, kind: Kind, value: &Value) {
        let text = match (kind, value) {
            (_, Value::Null) => return,
            (Kind::List, Value::Array(items)) => {
                let items = items.iter().map(|item| match item {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                items.collect::<Vec<_>>().join(",")
            }
            // `allowed-cn` is one word up to 3.5.
            (Kind::List, Value::String(text)) if key.contains('.') => text.clone(),
            (Kind::List, _) => return self.invalid(path, key, value, "is no list"),
            (_, Value::Array(_) | Value::Object(_)) => {
                return self.invalid(path, key, value, "is not a single value");
            }
            (Kind::Text | Kind::Urls | Kind::Ignored, Value::String(text)) => text.clone(),
            // Numbers and booleans become text where text is asked for.
            (Kind::Text | Kind::Urls | Kind::Ignored, other) => other.to_string(),
            (Kind::Switch, Value::Bool(on)) => on.to_string(),
            (Kind::Switch, _) => {
                return self.invalid(
                    path,
                    key,
                    value,
                    "is neither true nor false (without quotes)",
                );
            }
            (Kind::Duration, Value::Number(nanoseconds)) if !nanoseconds.is_f64() => {
                format!("{nanoseconds}ns")
            }
            (Kind::Duration, _) => {
                return self.invalid(
                    path,
                    key,
                    value,
                    "is no number of nanoseconds, which is how the file writes durations",
                );
            }
            (Kind::Unsigned | Kind::Signed, Value::Number(number)) => {
                let number = number.to_string();
                if let Some(problem) = values::problem(kind, &number) {
                    return self.invalid(path, key, value, problem);
                }
                number
            }
            (Kind::Unsigned | Kind::Signed, _) => {
                return self.invalid(path, key, value, "is no number (without quotes)");
            }
        };
        self.settings.insert(flag.to_owned(), text);
    }

    /// A key at the top that has no effect there.
    fn lost(&mut self, path: &Path, key: &str, lower: &str) {
        let bare = lower.strip_prefix("peer-").unwrap_or(lower);
        let section = if bare == lower { "client" } else { "peer" };
        let belongs = match lower {
            "client-cert-allowed-hostname" => {
                Some("client-transport-security.allowed-hostname".to_owned())
            }
            "peer-cert-allowed-cn" => Some("peer-transport-security.allowed-cn".to_owned()),
            "peer-cert-allowed-hostname" => {
                Some("peer-transport-security.allowed-hostname".to_owned())
            }
            "socket-reuse-port" => Some("socket-options.reuse-port".to_owned()),
            "socket-reuse-address" => Some("socket-options.reuse-address".to_owned()),
            _ => SECURITY
                .iter()
                .find(|(name, _)| *name == bare)
                .map(|(name, _)| format!("{section}-transport-security.{name}")),
        };
        match belongs {
            Some(belongs) => self.misplaced(path, key, &belongs),
            None => self.unknown(path, key),
        }
    }

    /// A key in a section for TLS that has no effect there.
    fn lost_below(&mut self, path: &Path, side: &str, section: &str, key: &str, lower: &str) {
        let full = format!("{section}.{key}");
        let bare = lower.strip_prefix(&format!("{side}-")).unwrap_or(lower);
        let flag = flags::flag(lower).filter(in_file);
        if SECURITY.iter().any(|(name, _)| *name == bare) {
            self.misplaced(path, &full, &format!("{section}.{bare}"));
        } else if let Some(flag) = flag {
            self.misplaced(path, &full, flag.name);
        } else {
            self.unknown(path, &full);
        }
    }

    fn misplaced(&mut self, path: &Path, key: &str, belongs: &str) {
        self.findings.push(
            Finding::warning(
                "misplaced-key",
                format!(
                    "{key} in {} has no effect there, and etcd does not say so",
                    path.display()
                ),
            )
            .with_remedy(format!("its place is {belongs}; move it if it is meant"))
            .at(path),
        );
    }

    fn unknown(&mut self, path: &Path, key: &str) {
        self.findings.push(
            Finding::warning(
                "unknown-key",
                format!(
                    "etcd does not know {key} in {}, and does not say so: it has no effect",
                    path.display()
                ),
            )
            .with_remedy("correct its spelling, or take it out")
            .at(path),
        );
    }

    fn invalid(&mut self, path: &Path, key: &str, value: &Value, problem: &str) {
        self.findings.push(
            Finding::error(
                "setting-invalid",
                format!(
                    "{key} in {} {problem}: {}; etcd does not start with that",
                    path.display(),
                    compact(value)
                ),
            )
            .with_remedy("correct the value")
            .at(path),
        );
    }
}

/// Whether the file has a key of that name at its top.
fn in_file(flag: &Flag) -> bool {
    let of_section = |name: &str| SECURITY.iter().any(|(key, _)| *key == name);
    let discovery = flag.name.starts_with("discovery-") && flag.since == 6;
    !(flag.kind == Kind::Ignored
        || discovery
        || NOT_IN_FILE.contains(&flag.name)
        || of_section(flag.name)
        || flag.name.strip_prefix("peer-").is_some_and(of_section)
        || flag.name.starts_with("socket-reuse-")
        || flag.name.contains("-cert-allowed-"))
}

/// The flag that does the same as this key of a section for TLS.
fn security_flag(side: &str, key: &str) -> String {
    match (side, key) {
        (_, "allowed-cn" | "allowed-hostname") => format!("{side}-cert-{key}"),
        ("peer", _) => format!("peer-{key}"),
        _ => key.to_owned(),
    }
}

fn compact(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> Content {
        read(Path::new("/etc/etcd/etcd.conf.yml"), text)
    }

    fn codes(content: &Content) -> Vec<&str> {
        content.findings.iter().map(|it| it.code.as_str()).collect()
    }

    #[test]
    fn keys_become_flags() {
        let content = content(
            "name: m1\n\
             Data-Dir: /var/lib/etcd\n\
             wal-dir: ''\n\
             cors:\n\
             initial-cluster-token: 17\n\
             election-timeout: 5000\n\
             log-outputs: [stderr, /var/log/etcd.log]\n\
             watch-progress-notify-interval: 5000000000\n\
             pre-vote: off\n\
             socket-options:\n  reuse-port: true\n\
             client-transport-security:\n  cert-file: /c.crt\n  client-cert-auth: true\n  allowed-hostname: [a, b]\n\
             peer-transport-security: {cert-file: /p.crt, trusted-ca-file: /p-ca.crt, allowed-cn: m}\n",
        );
        let settings: Vec<_> = content
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            settings,
            [
                ("cert-file", "/c.crt"),
                ("client-cert-allowed-hostname", "a,b"),
                ("client-cert-auth", "true"),
                ("data-dir", "/var/lib/etcd"),
                ("election-timeout", "5000"),
                ("initial-cluster-token", "17"),
                ("log-outputs", "stderr,/var/log/etcd.log"),
                ("name", "m1"),
                ("peer-cert-allowed-cn", "m"),
                ("peer-cert-file", "/p.crt"),
                ("peer-trusted-ca-file", "/p-ca.crt"),
                ("pre-vote", "false"),
                ("socket-reuse-port", "true"),
                ("wal-dir", ""),
                ("watch-progress-notify-interval", "5000000000ns"),
            ]
        );
        assert_eq!(codes(&content), Vec::<&str>::new());
    }

    #[test]
    fn json_is_yaml_and_an_empty_file_is_one_without_settings() {
        let content = content(r#"{"name": "m1", "listen-client-urls": "http://a:1,http://b:1"}"#);
        assert_eq!(content.settings.len(), 2);
        for text in ["", "# nothing\n", "---\n"] {
            let content = super::tests::content(text);
            assert!(
                content.settings.is_empty() && content.findings.is_empty(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let content = content("name: a\nname: b\n");
        assert_eq!(content.settings.get("name").map(String::as_str), Some("b"));
    }

    #[test]
    fn what_vanishes_silently_is_named() {
        for (text, code, place) in [
            (
                "cert-file: /c",
                "misplaced-key",
                "client-transport-security.cert-file",
            ),
            (
                "peer-key-file: /c",
                "misplaced-key",
                "peer-transport-security.key-file",
            ),
            (
                "peer-transport-security:\n  peer-client-cert-auth: true\n",
                "misplaced-key",
                "peer-transport-security.client-cert-auth",
            ),
            (
                "client-transport-security:\n  data-dir: /d\n",
                "misplaced-key",
                "data-dir",
            ),
            ("socket-reuse-port: true", "misplaced-key", "socket-options"),
            ("datadir: /d", "unknown-key", "spelling"),
            ("raft-read-timeout: 1", "unknown-key", "spelling"),
            (
                "client-transport-security:\n  ca-file: /d\n",
                "unknown-key",
                "spelling",
            ),
        ] {
            let content = content(text);
            assert_eq!(codes(&content), [code], "{text}");
            let remedy = content.findings[0].remedy.clone().unwrap();
            assert!(remedy.contains(place), "{text}: {remedy}");
            assert!(content.settings.is_empty(), "{text}");
        }
    }

    #[test]
    fn values_of_another_kind_keep_etcd_from_starting() {
        for text in [
            "client-transport-security:\n  client-cert-auth: 'true'\n",
            "client-transport-security: true\n",
            "election-timeout: '5000'\n",
            "election-timeout: -1\n",
            "corrupt-check-time: 5s\n",
            "log-outputs: stderr\n",
            "name: [a]\n",
            "listen-client-urls:\n  - http://a:1\n",
        ] {
            let content = content(text);
            assert_eq!(codes(&content), ["setting-invalid"], "{text}");
        }
        for text in ["name: [", "just a text", "- a\n- b\n"] {
            assert_eq!(codes(&content(text)), ["config-file-invalid"], "{text}");
        }
    }
}
