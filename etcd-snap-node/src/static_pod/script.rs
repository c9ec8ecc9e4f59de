//! The start of etcd in a shell script, as OpenShift's and Bitnami's manifests have it.
//!
//! No shell: words, quotes, comments, joined lines and variables that are known. What a script computes stays as it is written.

use super::program;
use super::variables::Variables;
use crate::invocation::Variable;

/// The command of a script that starts etcd: its words, and the variables that the script sets before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) words: Vec<String>,
    pub(super) variables: Vec<Variable>,
}

/// Finds it; `None` where no command of the script is etcd.
pub(super) fn start(script: &str, variables: &Variables) -> Option<Start> {
    let mut set: Vec<Variable> = variables.known.clone();
    for command in commands(script) {
        let words: Vec<String> = command.iter().map(|word| word.text(&set)).collect();
        let (assignments, words) = split_assignments(&words);
        for (name, value) in assignments {
            set.retain(|variable| variable.name != name);
            set.push(Variable {
                name,
                value,
                file: None,
            });
        }
        if let Some(words) = program::etcd(&words) {
            return Some(Start {
                words,
                variables: set,
            });
        }
    }
    None
}

/// Whether a command of the script is etcd-manager, which starts etcd by itself.
pub(super) fn runs_etcd_manager(script: &str) -> bool {
    commands(script).iter().any(|command| {
        let words: Vec<String> = command.iter().map(|word| word.text(&[])).collect();
        let (_, words) = split_assignments(&words);
        program::of(&words) == program::Program::EtcdManager
    })
}

/// `A=b`, `export A=b` and `A=b etcd ...`.
fn split_assignments(words: &[String]) -> (Vec<(String, String)>, Vec<String>) {
    let words = match words.split_first() {
        Some((first, rest)) if first == "export" => rest,
        _ => words,
    };
    let mut assignments = Vec::new();
    let mut left = words.iter();
    let mut rest = Vec::new();
    for word in left.by_ref() {
        match word.split_once('=') {
            Some((name, value)) if is_name(name) => {
                assignments.push((name.to_owned(), value.to_owned()));
            }
            _ => {
                rest.push(word.clone());
                break;
            }
        }
    }
    rest.extend(left.cloned());
    (assignments, rest)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A word in pieces: some as they are, some with variables to put in.
#[derive(Debug, Default)]
struct Word(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Literal(String),
    Expanded(String),
}

impl Word {
    fn push(&mut self, c: char, expanded: bool) {
        match (self.0.last_mut(), expanded) {
            (Some(Piece::Literal(text)), false) | (Some(Piece::Expanded(text)), true) => {
                text.push(c);
            }
            (_, false) => self.0.push(Piece::Literal(c.into())),
            (_, true) => self.0.push(Piece::Expanded(c.into())),
        }
    }

    fn text(&self, variables: &[Variable]) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Expanded(text) => expand(text, variables),
        });
        pieces.collect()
    }
}

/// The commands of a script, each as its words.
fn commands(script: &str) -> Vec<Vec<Word>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<Word> = None;
    let mut chars = script.chars().peekable();
    let end_word = |word: &mut Option<Word>, commands: &mut Vec<Vec<Word>>| {
        if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
            command.push(word);
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(c) => word.get_or_insert_default().push(c, false),
            },
            '\'' => {
                let word = word.get_or_insert_default();
                for c in chars.by_ref().take_while(|c| *c != '\'') {
                    word.push(c, false);
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some('\n') | None => {}
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c, false),
                            Some(c) => {
                                word.push('\\', false);
                                word.push(c, false);
                            }
                        },
                        c => word.push(c, true),
                    }
                }
            }
            // What a command puts out is one word, whatever is in it.
            '$' if chars.peek() == Some(&'(') => {
                let word = word.get_or_insert_default();
                word.push('$', false);
                let mut depth = 0;
                for c in chars.by_ref() {
                    word.push(c, false);
                    depth += match c {
                        '(' => 1,
                        ')' => -1,
                        _ => 0,
                    };
                    if depth == 0 {
                        break;
                    }
                }
            }
            '#' if word.is_none() => {
                // The end of the line ends the command as well.
                while chars.next_if(|c| *c != '\n').is_some() {}
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => {
                end_word(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            c if c.is_whitespace() => end_word(&mut word, &mut commands),
            c => word.get_or_insert_default().push(c, true),
        }
    }
    end_word(&mut word, &mut commands);
    commands
}

/// `$NAME`, `${NAME}` and `${NAME:-otherwise}`; what is not known stays as it is written.
fn expand(text: &str, variables: &[Variable]) -> String {
    let value = |name: &str| {
        let variable = variables.iter().find(|it| it.name == name)?;
        Some(variable.value.as_str())
    };
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let braced = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (found, after) = match braced {
            Some((inner, after)) => {
                let (name, otherwise) = match inner.split_once(":-") {
                    Some((name, otherwise)) => (name, Some(otherwise)),
                    None => (inner, None),
                };
                (value(name).or(otherwise), after)
            }
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                let (name, after) = after.split_at(end);
                (value(name), after)
            }
        };
        match found {
            Some(value) => expanded.push_str(value),
            // As it is written, with its braces.
            None => expanded.push_str(
                rest.get(before.len()..rest.len() - after.len())
                    .unwrap_or_default(),
            ),
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let known = pairs.iter().map(|(name, value)| Variable {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            file: None,
        });
        Variables {
            known: known.collect(),
            unknown: Vec::new(),
        }
    }

    #[test]
    fn the_start_of_etcd_is_found_among_other_commands() {
        let script = "#!/bin/sh\nset -euo pipefail\netcdctl member list || true # not etcd\nexport ETCD_INITIAL_CLUSTER=$(discover --data-dir=/x\n)\nETCD_NAME='m 1'\nexec nice -n -19 ionice -c2 -n0 etcd \\\n  --log-level=info \\\n  --listen-client-urls=\"https://${IP}:2379,unixs://${IP}:0\" --a=${B:-c} --d=${E} --f='$IP' \\\n  || mv /etc/a /etc/b\n";
        let start = start(script, &variables(&[("IP", "10.0.0.1")])).unwrap();
        assert_eq!(
            start.words,
            [
                "etcd",
                "--log-level=info",
                "--listen-client-urls=https://10.0.0.1:2379,unixs://10.0.0.1:0",
                "--a=c",
                "--d=${E}",
                "--f=$IP"
            ]
        );
        let set: Vec<_> = start
            .variables
            .iter()
            .map(|it| (it.name.as_str(), it.value.as_str()))
            .collect();
        assert_eq!(
            set,
            [
                ("IP", "10.0.0.1"),
                ("ETCD_INITIAL_CLUSTER", "$(discover --data-dir=/x\n)"),
                ("ETCD_NAME", "m 1")
            ]
        );
    }

    #[test]
    fn scripts_without_etcd_have_no_start() {
        for script in [
            "",
            "echo etcd",
            "etcdctl snapshot save x; sleep 1",
            "'",
            "\"",
            "$(",
            "\\",
        ] {
            assert_eq!(start(script, &variables(&[])), None, "{script}");
        }
        let one = start("A=b; etcd --name $A", &variables(&[])).unwrap();
        assert_eq!(one.words, ["etcd", "--name", "b"]);
        // Words are expanded before the assignments of their own command count.
        let one = start("A=b etcd --name $A", &variables(&[])).unwrap();
        assert_eq!(one.words, ["etcd", "--name", "$A"]);
        assert!(runs_etcd_manager(
            "mkfifo /p; A=b exec /etcd-manager --x > /p 2>&1"
        ));
        assert!(!runs_etcd_manager("echo etcd-manager"));
        let one = start("if true; then /usr/bin/etcd; fi", &variables(&[])).unwrap();
        assert_eq!(one.words, ["/usr/bin/etcd"]);
    }
}
