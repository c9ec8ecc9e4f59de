//! What systemd puts in place of `%` and `$`.

use super::words::{self, Escapes};
use crate::Root;

/// What the specifiers of a unit stand for.
#[derive(Debug, Clone)]
pub(super) struct Specifiers {
    unit: String,
    host: Option<String>,
    machine: Option<String>,
}

impl Specifiers {
    pub(super) fn new(unit: &str, root: &Root) -> Self {
        let line = |path: &str| {
            let text = root.read_text(std::path::Path::new(path)).ok()?;
            let mut lines = text.lines().map(str::trim);
            let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
            Some(line.to_owned())
        };
        let host = if root.is_this_machine() {
            Some(
                rustix::system::uname()
                    .nodename()
                    .to_string_lossy()
                    .into_owned(),
            )
        } else {
            line("/etc/hostname")
        };
        Self {
            unit: unit.to_owned(),
            host,
            machine: line("/etc/machine-id"),
        }
    }

    /// Puts in what the specifiers stand for. Those that nobody here knows stay as they are written, and are in the second list.
    pub(super) fn expand(&self, text: &str) -> (String, Vec<String>) {
        let mut expanded = String::with_capacity(text.len());
        let mut unknown = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            let Some(specifier) = rest.next() else {
                expanded.push('%');
                break;
            };
            match self.meaning(specifier) {
                Some(meaning) => expanded.push_str(&meaning),
                None => {
                    expanded.extend(['%', specifier]);
                    // What is no letter is none of systemd's.
                    if specifier.is_ascii_alphabetic() {
                        unknown.push(format!("%{specifier}"));
                    }
                }
            }
        }
        (expanded, unknown)
    }

    fn meaning(&self, specifier: char) -> Option<String> {
        let whole = self
            .unit
            .rsplit_once('.')
            .map_or(self.unit.as_str(), |(name, _)| name);
        let (prefix, instance) = whole.split_once('@').unwrap_or((whole, ""));
        let last = prefix.rsplit_once('-').map_or(prefix, |(_, last)| last);
        let fixed = match specifier {
            '%' => "%",
            'n' => &self.unit,
            'N' => whole,
            'p' => prefix,
            'i' => instance,
            'j' => last,
            'P' => return Some(unescaped(prefix)),
            'I' => return Some(unescaped(instance)),
            'J' => return Some(unescaped(last)),
            'f' => {
                let path = if instance.is_empty() {
                    prefix
                } else {
                    instance
                };
                return Some(format!("/{}", unescaped(path)));
            }
            'H' => return self.host.clone(),
            'l' => {
                return self
                    .host
                    .as_ref()
                    .map(|host| host.split('.').next().unwrap_or(host).to_owned());
            }
            'm' => return self.machine.clone(),
            'E' => "/etc",
            'L' => "/var/log",
            'S' => "/var/lib",
            'C' => "/var/cache",
            't' => "/run",
            'T' => "/tmp",
            'V' => "/var/tmp",
            // Of the manager, which is root's, not of the service.
            'u' | 'g' => "root",
            'U' | 'G' => "0",
            'h' => "/root",
            's' => "/bin/sh",
            'd' => return Some(format!("/run/credentials/{}", self.unit)),
            _ => return None,
        };
        Some(fixed.to_owned())
    }
}

/// The path or text that systemd escaped to make it part of a name.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let byte = rest
            .strip_prefix("\\x")
            .and_then(|code| code.get(..2))
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        let taken = match (byte, c) {
            (Some(byte), _) => {
                bytes.push(byte);
                4
            }
            (None, '-') => {
                bytes.push(b'/');
                1
            }
            (None, _) => {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A command line after its variables were put in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) words: Vec<String>,
    /// Variables that are asked for as `${X}` and not set: they are empty.
    pub(super) empty: Vec<String>,
    /// Variables that are asked for as `$X` and not set: there is no word then.
    pub(super) missing: Vec<String>,
    /// Words in which a `$X` stands that systemd leaves as it is, because it has no braces and is not a word of its own.
    pub(super) left: Vec<String>,
}

/// Puts variables into the words of a command. The program itself is none of them.
pub(super) fn expand_variables<'a>(
    words: &[String],
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Expanded {
    let mut expanded = Expanded::default();
    for word in words {
        let alone = word
            .strip_prefix('$')
            .filter(|name| !name.is_empty() && !name.starts_with(['{', '$']));
        match alone {
            // All of the word is the name, whatever is in it.
            Some(name) => match lookup(name) {
                Some(value) => expanded
                    .words
                    .extend(words::all(value, Escapes::Plain).unwrap_or_default()),
                None => expanded.missing.push(name.to_owned()),
            },
            None => {
                let word = expanded.expand_braces(word, lookup);
                expanded.words.push(word);
            }
        }
    }
    expanded
}

impl Expanded {
    fn expand_braces<'a>(
        &mut self,
        word: &str,
        lookup: &dyn Fn(&str) -> Option<&'a str>,
    ) -> String {
        let mut text = String::with_capacity(word.len());
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            let braced = after.strip_prefix('{').and_then(|it| it.split_once('}'));
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = braced {
                match lookup(name) {
                    Some(value) => text.push_str(value),
                    None => self.empty.push(name.to_owned()),
                }
                rest = after;
            } else {
                if after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                    self.left.push(word.to_owned());
                }
                text.push('$');
                rest = after;
            }
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn specifiers(unit: &str, files: &[(&str, &str)]) -> Specifiers {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("etc")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join("etc").join(name), text).unwrap();
        }
        Specifiers::new(unit, &Root::new(folder.path()))
    }

    #[test]
    fn specifiers_are_those_of_the_unit_and_its_machine() {
        let specifiers = specifiers(
            "etcd-events@m-1\\x2da.service",
            &[
                ("hostname", "# set by hand\nnode1.example.org\n"),
                ("machine-id", "0123abcd\n"),
            ],
        );
        for (text, expected) in [
            ("%H", "node1.example.org"),
            ("%l", "node1"),
            ("%m", "0123abcd"),
            ("%n", "etcd-events@m-1\\x2da.service"),
            ("%N", "etcd-events@m-1\\x2da"),
            ("%p", "etcd-events"),
            ("%j", "events"),
            ("%i", "m-1\\x2da"),
            ("%I", "m/1-a"),
            ("/var/lib/%p/%%x", "/var/lib/etcd-events/%x"),
            ("%S/etcd 100%", "/var/lib/etcd 100%"),
            ("%-", "%-"),
        ] {
            assert_eq!(
                specifiers.expand(text),
                (expected.to_owned(), vec![]),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_tree_does_not_say_stays_and_is_named() {
        let specifiers = specifiers("etcd.service", &[]);
        let (text, unknown) = specifiers.expand("%H-%b-%p-%i");
        assert_eq!(
            (text.as_str(), unknown),
            ("%H-%b-etcd-", vec!["%H".to_owned(), "%b".to_owned()])
        );
    }

    #[test]
    fn variables_are_put_in_as_systemd_does() {
        let lookup = |name: &str| match name {
            "ARGS" => Some("--a  '--b=c d'"),
            "NAME" => Some("m 1"),
            "EMPTY" => Some(""),
            _ => None,
        };
        for (words, expected) in [
            (vec!["$ARGS"], vec!["--a", "--b=c d"]),
            (vec!["--name=${NAME}"], vec!["--name=m 1"]),
            (vec!["${ARGS}"], vec!["--a  '--b=c d'"]),
            (vec!["$EMPTY", "${EMPTY}", "x"], vec!["", "x"]),
            (vec!["$NONE", "--x=${NONE}"], vec!["--x="]),
            (
                vec!["$$NAME", "a$$b", "$${NAME}"],
                vec!["$NAME", "a$b", "${NAME}"],
            ),
            // Neither in braces nor a word of its own: it stays.
            (vec!["--name=$NAME"], vec!["--name=$NAME"]),
            (
                vec!["$(nproc)", "a$", "$", "${NAME"],
                vec!["a$", "$", "${NAME"],
            ),
            (vec!["a$(nproc)"], vec!["a$(nproc)"]),
        ] {
            let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(
                expand_variables(&words, &lookup).words,
                expected,
                "{words:?}"
            );
        }
        let words = ["$NONE", "--x=${NONE}", "--name=$NAME"].map(str::to_owned);
        let expanded = expand_variables(&words, &lookup);
        assert_eq!(expanded.missing, ["NONE"]);
        assert_eq!(expanded.empty, ["NONE"]);
        assert_eq!(expanded.left, ["--name=$NAME"]);
    }
}
