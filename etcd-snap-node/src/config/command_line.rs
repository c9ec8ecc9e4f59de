//! Words as Go's `flag` package reads them, and further than it does: etcd stops at the first mistake, a person wants to see all.

use super::flags::{self, Kind};
use super::values;
use crate::Finding;
use crate::invocation::Invocation;

/// The settings that the words after the program make, in their order, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) findings: Vec<Finding>,
}

/// Words that a shell decides about are left out, unless they are values of flags that are known: they may be anything.
pub(super) fn read(invocation: &Invocation) -> Given {
    let mut given = Given::default();
    let words = invocation.words.get(1..).unwrap_or_default();
    let mut words = words.iter().peekable();
    // The switch that was just read: what comes next may be meant for it.
    let mut switch: Option<&str> = None;
    while let Some(word) = words.next() {
        let is_unresolved = invocation.is_unresolved(word);
        if !is_unresolved {
            given.note_glued_flags(word);
        }
        let Some(flag) = spelled(word) else {
            if is_unresolved {
                switch = None;
                given.guessed(word);
                continue;
            }
            given.stray(word, switch.take());
            continue;
        };
        switch = None;
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let Some(known) = flags::flag(name) else {
            match invocation.is_unresolved(name) {
                true => given.guessed(word),
                false => given.unknown(name),
            }
            // Whether it would take the next word nobody can say; a word by itself would only be reported twice.
            if value.is_none() {
                words.next_if(|next| spelled(next).is_none());
            }
            continue;
        };
        let value = match (known.kind, value) {
            (Kind::Ignored, _) => continue,
            (_, Some(value)) => value.to_owned(),
            (Kind::Switch, None) => {
                switch = Some(known.name);
                "true".to_owned()
            }
            (_, None) => match words.next() {
                Some(next) => {
                    if !invocation.is_unresolved(next) {
                        given.note_glued_flags(next);
                    }
                    next.clone()
                }
                None => {
                    given.findings.push(
                        Finding::error(
                            "flag-without-value",
                            format!("--{name} is the last word, and its value is missing: etcd does not start with that"),
                        )
                        .with_remedy(format!("give it a value, like --{name}=VALUE, or leave it out")),
                    );
                    continue;
                }
            },
        };
        given.settings.push((known.name, value));
    }
    given
}

/// What follows the one or two dashes of a flag; `None` for a word that is none.
fn spelled(word: &str) -> Option<&str> {
    let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    (!flag.is_empty() && !flag.starts_with(['-', '='])).then_some(flag)
}

impl Given {
    fn unknown(&mut self, name: &str) {
        let finding = Finding::error(
            "unknown-flag",
            format!(
                "no etcd from 3.4 to 3.{} knows the flag --{name}: it does not start with that",
                flags::NEWEST
            ),
        );
        self.findings.push(finding.with_remedy(format!(
            "correct its spelling (`etcd --help` lists all flags), or take --{name} out"
        )));
    }

    /// It may be any number of flags, also such as are given beside it.
    fn guessed(&mut self, word: &str) {
        self.findings.push(
            Finding::warning(
                "command-line-unknown",
                format!("a shell puts words in the place of {word} when it starts etcd: what is known of its settings may not be what counts"),
            )
            .with_remedy("see what the running process was given (`tr '\\0' ' ' </proc/PID/cmdline`), or write the flags themselves into the unit"),
        );
    }

    fn stray(&mut self, word: &str, switch: Option<&str>) {
        let finding = match switch {
            Some(switch) if values::boolean(word).is_some() => Finding::error(
                "boolean-with-value",
                format!("the word {word:?} after --{switch} is not its value, because --{switch} is a switch: etcd does not start with that"),
            )
            .with_remedy(format!("write --{switch}={word}")),
            _ => Finding::error(
                "stray-word",
                format!("the word {word:?} belongs to no flag: etcd does not start with that"),
            )
            .with_remedy("take it out, or write flag and value as one word, like --data-dir=/var/lib/etcd"),
        };
        self.findings.push(finding);
    }

    /// A line that is indented one column too far belongs, for YAML, to the line before.
    fn note_glued_flags(&mut self, word: &str) {
        let Some((before, after)) = word.split_once(" - -") else {
            return;
        };
        let (before, after) = (before.trim(), format!("-{after}"));
        self.findings.push(
            Finding::error(
                "edited-misindented-flag",
                format!("{before:?} and {after:?} are one word for etcd, which does not start with that: the second line is indented further than the first"),
            )
            .with_remedy("indent the line of the second flag like the line before it"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Invocation {
        let words = text.split('|').map(str::to_owned);
        Invocation {
            words: std::iter::once("etcd".to_owned()).chain(words).collect(),
            ..Invocation::default()
        }
    }

    #[test]
    fn flags_are_read_in_all_their_spellings() {
        for (text, expected) in [
            ("--name=m1", vec![("name", "m1")]),
            ("-name=m1", vec![("name", "m1")]),
            ("--name|m1", vec![("name", "m1")]),
            (
                "-name|m1|--data-dir|/d",
                vec![("name", "m1"), ("data-dir", "/d")],
            ),
            ("--name=", vec![("name", "")]),
            ("--name=a=b", vec![("name", "a=b")]),
            // A value is taken as it comes, also where it looks like a flag.
            ("--name|--data-dir=/d", vec![("name", "--data-dir=/d")]),
            ("--client-cert-auth", vec![("client-cert-auth", "true")]),
            (
                "--client-cert-auth=false",
                vec![("client-cert-auth", "false")],
            ),
            (
                "--client-cert-auth|--name|m1",
                vec![("client-cert-auth", "true"), ("name", "m1")],
            ),
            ("--name=a|--name=b", vec![("name", "a"), ("name", "b")]),
            ("--snapshot|--vv=3|--name=a", vec![("name", "a")]),
        ] {
            let given = read(&words(text));
            let settings: Vec<_> = given
                .settings
                .iter()
                .map(|(k, v)| (*k, v.as_str()))
                .collect();
            assert_eq!(settings, expected, "{text}");
            assert_eq!(given.findings, [], "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_and_do_not_hide_what_follows() {
        for (text, code) in [
            ("--nmae=x|--data-dir=/d", "unknown-flag"),
            ("--nmae|x|--data-dir=/d", "unknown-flag"),
            ("stray|--data-dir=/d", "stray-word"),
            ("--|--data-dir=/d", "stray-word"),
            ("-|--data-dir=/d", "stray-word"),
            ("---name=x|--data-dir=/d", "stray-word"),
            (
                "--client-cert-auth|true|--data-dir=/d",
                "boolean-with-value",
            ),
            ("--client-cert-auth|yes|--data-dir=/d", "stray-word"),
            ("--name=x|true|--data-dir=/d", "stray-word"),
            ("--data-dir=/d|--name", "flag-without-value"),
            (
                "--initial-cluster-token=t - --name=x|--data-dir=/d",
                "edited-misindented-flag",
            ),
            (
                "--initial-cluster-token|t - --name=x|--data-dir=/d",
                "edited-misindented-flag",
            ),
        ] {
            let given = read(&words(text));
            let codes: Vec<_> = given.findings.iter().map(|it| it.code.as_str()).collect();
            assert_eq!(codes, [code], "{text}");
            assert!(
                given.settings.contains(&("data-dir", "/d".to_owned())),
                "{text}"
            );
            assert!(
                given.findings.iter().all(|it| it.remedy.is_some()),
                "{text}"
            );
        }
    }
}
