//! The data file: a command line each, with where it holds and what is different on purpose.
//!
//! `VERSIONS STATE: [NAME=VALUE]... TOOL WORD... [=> MARK...]`
//!
//! * VERSIONS: `*`, `3.5`, `3.5-` (and newer), `-3.5` (and older), `3.5-3.6`.
//! * STATE: what is there beside the files: `files` (nothing), `plain`, `tls`, `auth` (a server), `three` (members, the last of which is
//!   down).
//! * Words stand in single quotes where they have blanks or are empty. `{name}` is replaced: see `world.rs`. `< FILE` at the end is
//!   standard input, which is empty else.
//! * MARK: a difference of `differences.txt`, of some versions only with `@VERSIONS` behind it; or `writes`, where the command changes the
//!   server, as logging in does, so that numbers are not compared; or `any-order`, where lines come as members
//!   answer, or as the original's threads run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use etcd_snap_testdata::etcd::Version;

#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) text: String,
    pub(crate) versions: Vec<Version>,
    pub(crate) state: State,
    pub(crate) variables: Vec<(String, String)>,
    /// The tool first.
    pub(crate) words: Vec<String>,
    pub(crate) marks: Vec<Mark>,
}

#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) versions: Vec<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Files,
    Plain,
    Tls,
    Auth,
    Three,
}

impl Line {
    pub(crate) fn writes(&self) -> bool {
        self.marks.iter().any(|mark| mark.name == "writes")
    }

    pub(crate) fn saves(&self) -> bool {
        self.words.iter().any(|word| word == "save")
    }

    pub(crate) fn any_order(&self) -> bool {
        self.marks.iter().any(|mark| mark.name == "any-order")
    }

    /// What stands behind the tool, without the redirection.
    pub(crate) fn arguments(&self) -> &[String] {
        match self.words.as_slice() {
            [_, arguments @ .., sign, _] if sign == "<" => arguments,
            words => &words[1..],
        }
    }

    /// The file that is read as standard input.
    pub(crate) fn input(&self) -> Option<&str> {
        match self.words.as_slice() {
            [.., sign, file] if sign == "<" => Some(file),
            _ => None,
        }
    }

    fn parse(number: usize, text: &str) -> Result<Self> {
        let (what, marks) = match text.split_once(" => ") {
            Some((what, marks)) => (what, marks),
            None => (text, ""),
        };
        let (head, command) = what.split_once(": ").context("no `: `")?;
        let (versions, state) = head.split_once(' ').context("no state")?;
        let mut words = words(command)?;
        let mut variables = Vec::new();
        while let Some((name, value)) = words.first().and_then(|word| word.split_once('=')) {
            if !name.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
                break;
            }
            variables.push((name.to_owned(), value.to_owned()));
            words.remove(0);
        }
        if !matches!(
            words.first().map(String::as_str),
            Some("etcdctl" | "etcdutl")
        ) {
            bail!("the command is neither etcdctl nor etcdutl");
        }
        Ok(Self {
            number,
            text: text.to_owned(),
            versions: parse_versions(versions)?,
            state: match state.trim() {
                "files" => State::Files,
                "plain" => State::Plain,
                "tls" => State::Tls,
                "auth" => State::Auth,
                "three" => State::Three,
                other => bail!("there is no state {other}"),
            },
            variables,
            words,
            marks: marks
                .split_whitespace()
                .map(|mark| {
                    let (name, versions) = mark.split_once('@').unwrap_or((mark, "*"));
                    Ok(Mark {
                        name: name.to_owned(),
                        versions: parse_versions(versions)?,
                    })
                })
                .collect::<Result<_>>()?,
        })
    }
}

fn parse_versions(text: &str) -> Result<Vec<Version>> {
    let place = |text: &str, otherwise: usize| -> Result<usize> {
        if text.is_empty() {
            return Ok(otherwise);
        }
        let version: Version = text.parse().map_err(anyhow::Error::msg)?;
        let place = Version::ALL.iter().position(|one| *one == version);
        place.context("unknown version")
    };
    let last = Version::ALL.len() - 1;
    let (from, to) = match text.split_once('-') {
        _ if text == "*" => (0, last),
        Some((from, to)) => (place(from, 0)?, place(to, last)?),
        None => (place(text, 0)?, place(text, 0)?),
    };
    Ok(Version::ALL[from..=to].to_vec())
}

fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quoted {
        bail!("a quote is open");
    }
    words.extend(word);
    Ok(words)
}

pub(crate) fn read() -> Result<Vec<Line>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/lines.txt");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            Line::parse(at + 1, line).with_context(|| format!("line {}: {line}", at + 1))
        })
        .collect()
}

#[test]
fn there_are_several_hundred_lines() -> Result<()> {
    let runs: usize = read()?.iter().map(|line| line.versions.len()).sum();
    assert!(runs >= 400, "{runs}");
    Ok(())
}

#[test]
fn lines_are_read_as_a_shell_would() -> Result<()> {
    let line = Line::parse(
        1,
        "3.5- plain: A=1 etcdctl get '' 'a b' --x=y => writes one@3.6-",
    )?;
    assert_eq!(line.versions, Version::ALL[1..]);
    assert_eq!(line.state, State::Plain);
    assert_eq!(line.variables, [("A".to_owned(), "1".to_owned())]);
    assert_eq!(line.words, ["etcdctl", "get", "", "a b", "--x=y"]);
    let marks: Vec<_> = line
        .marks
        .iter()
        .map(|mark| (&*mark.name, mark.versions.len()))
        .collect();
    assert_eq!(marks, [("writes", 4), ("one", 2)]);
    assert!(Line::parse(1, "* files: rm -r x").is_err());
    let line = Line::parse(1, "* plain: etcdctl put k < text.pem")?;
    assert_eq!(line.arguments(), ["put", "k"]);
    assert_eq!(line.input(), Some("text.pem"));
    Ok(())
}
