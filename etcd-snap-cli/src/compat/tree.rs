//! The commands of the tools, and how a line of words finds one of them (github.com/spf13/cobra).

use std::ffi::OsString;

use super::call::Call;
use super::dialect::{Dialect, Tool};
use super::ended::Result;
use super::flags::{Flag, Flags, Kind};

/// A command, or a group of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What follows the name in a usage line.
    pub(crate) arguments: &'static str,
    pub(crate) about: &'static str,
    pub(crate) flags: &'static [Flag],
    since: Option<Dialect>,
    until: Option<Dialect>,
    pub(crate) kind: CommandKind,
    /// Where the library that parses the line counts the arguments, and not the command.
    pub(crate) exactly: Option<usize>,
    pub(crate) required: &'static [(&'static str, Dialect, Dialect)],
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum CommandKind {
    /// Its flags belong to all commands below it.
    Group(&'static [Command]),
    Run(fn(&Call) -> Result<()>),
    /// One that we do not have.
    Elsewhere,
}

impl Command {
    const fn make(
        name: &'static str,
        arguments: &'static str,
        about: &'static str,
        kind: CommandKind,
    ) -> Self {
        Self {
            name,
            arguments,
            about,
            flags: &[],
            since: None,
            until: None,
            kind,
            exactly: None,
            required: &[],
        }
    }

    pub(crate) const fn group(
        name: &'static str,
        about: &'static str,
        below: &'static [Self],
    ) -> Self {
        Self::make(name, "<subcommand>", about, CommandKind::Group(below))
    }

    pub(crate) const fn new(
        name: &'static str,
        arguments: &'static str,
        about: &'static str,
        run: fn(&Call) -> Result<()>,
    ) -> Self {
        Self::make(name, arguments, about, CommandKind::Run(run))
    }

    pub(crate) const fn elsewhere(name: &'static str) -> Self {
        Self::make(name, "", "not provided here", CommandKind::Elsewhere)
    }

    pub(crate) const fn flags(mut self, flags: &'static [Flag]) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) const fn since(mut self, dialect: Dialect) -> Self {
        self.since = Some(dialect);
        self
    }

    pub(crate) const fn until(mut self, dialect: Dialect) -> Self {
        self.until = Some(dialect);
        self
    }

    pub(crate) const fn exactly(mut self, arguments: usize) -> Self {
        self.exactly = Some(arguments);
        self
    }

    /// Flags that have to be given, from one dialect to another.
    pub(crate) const fn required(
        mut self,
        flags: &'static [(&'static str, Dialect, Dialect)],
    ) -> Self {
        self.required = flags;
        self
    }

    pub(crate) fn exists(&self, dialect: Dialect) -> bool {
        self.since.is_none_or(|since| since <= dialect)
            && self.until.is_none_or(|until| dialect <= until)
    }

    pub(crate) fn below(&self) -> &'static [Self] {
        match self.kind {
            CommandKind::Group(below) => below,
            CommandKind::Run(_) | CommandKind::Elsewhere => &[],
        }
    }

    pub(crate) fn is_group(&self) -> bool {
        matches!(self.kind, CommandKind::Group(_))
    }
}

/// The way from the tool to a command.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) tool: Tool,
    pub(crate) dialect: Dialect,
    /// The root first.
    pub(crate) path: Vec<&'static Command>,
    /// The words without the names on the way.
    pub(crate) words: Vec<OsString>,
}

impl Found {
    pub(crate) fn command(&self) -> &'static Command {
        self.path[self.path.len() - 1]
    }

    /// `etcdctl snapshot save`.
    pub(crate) fn name(&self) -> String {
        let names: Vec<&str> = self.path.iter().map(|command| command.name).collect();
        names.join(" ")
    }

    /// Its own flags, then those of all above it, `--help` and `--compat` too.
    pub(crate) fn flags(&self) -> Flags {
        Flags::new(flags_of(&self.path), self.dialect)
    }

    /// The flags that it inherits, which are the ones that variables can set.
    pub(crate) fn inherited(&self) -> Vec<Flag> {
        let above = &self.path[..self.path.len() - 1];
        let mut flags: Vec<Flag> = above
            .iter()
            .rev()
            .flat_map(|command| command.flags)
            .filter(|flag| flag.ours || flag.exists(self.dialect))
            .copied()
            .collect();
        flags.sort_by_key(|flag| flag.name);
        flags
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = &'static Command> {
        let dialect = self.dialect;
        self.command()
            .below()
            .iter()
            .filter(move |command| command.exists(dialect))
    }
}

pub(crate) const HELP: Flag = Flag::switch("help", "show this help").short('h');

fn flags_of(path: &[&'static Command]) -> Vec<Flag> {
    path.iter()
        .rev()
        .flat_map(|command| command.flags)
        .copied()
        .chain([HELP])
        .collect()
}

/// Follows the words that are names, or beginnings of only one name; flags and their values may stand anywhere between.
pub(crate) fn find(
    tool: Tool,
    dialect: Dialect,
    root: &'static Command,
    words: &[OsString],
) -> Found {
    let mut found = Found {
        tool,
        dialect,
        path: vec![root],
        words: words.to_vec(),
    };
    while let Some((at, next)) = step(&found) {
        found.words.remove(at);
        found.path.push(next);
    }
    found
}

/// Where the next name stands, and whose it is.
fn step(found: &Found) -> Option<(usize, &'static Command)> {
    let flags = flags_of(&found.path);
    let at = first_argument(&found.words, &flags, found.dialect)?;
    let word = found.words.get(at)?.to_str()?;
    let mut children = found.children();
    if let Some(exact) = children.find(|command| command.name == word) {
        return Some((at, exact));
    }
    let mut begun = found
        .children()
        .filter(|command| !word.is_empty() && command.name.starts_with(word));
    match (begun.next(), begun.next()) {
        (Some(only), None) => Some((at, only)),
        _ => None,
    }
}

/// The first word that is neither a flag nor the value of one.
pub(crate) fn first_argument(
    words: &[OsString],
    flags: &[Flag],
    dialect: Dialect,
) -> Option<usize> {
    let takes_value = |matches: &dyn Fn(&Flag) -> bool| {
        flags
            .iter()
            .filter(|flag| flag.ours || flag.exists(dialect))
            .find(|flag| matches(flag))
            .is_none_or(|flag| flag.kind != Kind::Switch)
    };
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let Some(text) = word.to_str() else {
            return Some(at);
        };
        if text == "--" {
            return None;
        }
        let value_follows = if let Some(long) = text.strip_prefix("--") {
            !long.contains('=') && takes_value(&|flag| flag.name == long)
        } else if text.len() > 1 && text.starts_with('-') {
            let mut letters = text[1..].chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) => takes_value(&|flag| flag.short == Some(letter)),
                _ => false,
            }
        } else {
            return Some(at);
        };
        at += if value_follows { 2 } else { 1 };
    }
    None
}

/// Names close enough to be meant (cobra's suggestions): two changes away at most, or begun alike.
pub(crate) fn suggestions(found: &Found, word: &str) -> Vec<&'static str> {
    const MOST_CHANGES: usize = 2;
    let lower = word.to_lowercase();
    let mut names: Vec<&str> = found
        .children()
        .map(|command| command.name)
        .filter(|name| {
            changes(&lower, name) <= MOST_CHANGES || name.to_lowercase().starts_with(&lower)
        })
        .collect();
    names.sort_unstable();
    names
}

/// The Levenshtein distance.
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[m + 1];
            row[m + 1] = replaced.min(row[m] + 1).min(row[m + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (one, other, count) in [
            ("", "", 0),
            ("get", "get", 0),
            ("gte", "get", 2),
            ("sav", "save", 1),
        ] {
            assert_eq!(changes(one, other), count);
        }
    }
}
