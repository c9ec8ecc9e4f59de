//! Whose words are spoken: which tool, and of which etcd.

use std::fmt;

/// A minor version of etcd's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dialect {
    V3_4,
    V3_5,
    V3_6,
    V3_7,
}

impl Dialect {
    pub(crate) const ALL: [Self; 4] = [Self::V3_4, Self::V3_5, Self::V3_6, Self::V3_7];

    /// `3.5`, also as a part of `v3.5.16`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        Self::ALL.into_iter().find(|dialect| {
            let rest = text.strip_prefix(dialect.minor());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    pub(crate) fn minor(self) -> &'static str {
        match self {
            Self::V3_4 => "3.4",
            Self::V3_5 => "3.5",
            Self::V3_6 => "3.6",
            Self::V3_7 => "3.7",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.minor())
    }
}

/// The name that we are called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tool {
    Etcdctl,
    Etcdutl,
}

impl Tool {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcdctl => "etcdctl",
            Self::Etcdutl => "etcdutl",
        }
    }

    /// The tool of this name, with or without `.exe`, whatever the case of the latter.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let bare = match name.len().checked_sub(".exe".len()) {
            Some(at) if name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(".exe") => {
                &name[..at]
            }
            _ => name,
        };
        [Self::Etcdctl, Self::Etcdutl]
            .into_iter()
            .find(|tool| tool.name() == bare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_known_by_their_minor() {
        for (text, dialect) in [
            ("3.4", Some(Dialect::V3_4)),
            ("v3.5.16", Some(Dialect::V3_5)),
            ("3.6.0", Some(Dialect::V3_6)),
            (" 3.7 ", Some(Dialect::V3_7)),
            ("3.40", None),
            ("3", None),
            ("", None),
        ] {
            assert_eq!(Dialect::parse(text), dialect, "{text}");
        }
    }

    #[test]
    fn tools_are_known_by_their_name() {
        for (name, tool) in [
            ("etcdctl", Some(Tool::Etcdctl)),
            ("etcdutl.exe", Some(Tool::Etcdutl)),
            ("etcdutl.EXE", Some(Tool::Etcdutl)),
            ("etcd-snap", None),
            ("éxe", None),
            ("etcdctl3", None),
        ] {
            assert_eq!(Tool::of(name), tool, "{name}");
        }
    }
}
