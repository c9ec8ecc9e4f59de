//! As much of a shell as start commands need: words, quotes, assignments, `$X`, `exec`, `export`, files that are sourced.
//!
//! Not a shell: conditions are not decided and substitutions not run. What is not understood is said so, and a substitution stays one
//! part of its word, as it is written.

use std::collections::BTreeMap;

/// A command of a script, with the variables that it would get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
    /// Where a `cd` before it leads.
    pub(super) directory: Option<String>,
}

/// The commands of a script, in their order.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) commands: Vec<Command>,
    /// What was not understood, as it is written.
    pub(super) unknown: Vec<String>,
    /// Variables that are asked for and not set.
    pub(super) unset: Vec<String>,
    /// Files that were sourced.
    pub(super) sourced: Vec<String>,
}

impl Script {
    /// Once each, and no more than anybody writes: all of them are looked for in every word.
    fn note_unknown(&mut self, text: String) {
        const MOST: usize = 256;
        if self.unknown.len() < MOST && !self.unknown.contains(&text) {
            self.unknown.push(text);
        }
    }
}

/// What a script starts with.
pub(super) struct Surroundings<'a> {
    /// `$1` and the others.
    pub(super) arguments: &'a [String],
    pub(super) variables: BTreeMap<String, String>,
    /// The text of a file that is sourced.
    pub(super) read: &'a dyn Fn(&str) -> Option<String>,
}

/// Reads a script.
pub(super) fn read(text: &str, surroundings: &Surroundings<'_>) -> Script {
    let exported = surroundings
        .variables
        .iter()
        .map(|(name, value)| (name.clone(), (value.clone(), true)))
        .collect();
    let mut shell = Shell {
        surroundings,
        variables: exported,
        export_all: false,
        directory: None,
        script: Script::default(),
        depth: 0,
    };
    shell.run(text);
    shell.script
}

/// Files may source each other.
const DEEPEST: usize = 4;

struct Shell<'a> {
    surroundings: &'a Surroundings<'a>,
    /// Value, and whether commands get it.
    variables: BTreeMap<String, (String, bool)>,
    export_all: bool,
    directory: Option<String>,
    script: Script,
    depth: usize,
}

/// A word as it is put together: `None` where there is none yet, as opposed to an empty one in quotes.
#[derive(Default)]
struct Line {
    words: Vec<String>,
    word: Option<String>,
}

impl Line {
    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }
}

impl Shell<'_> {
    fn run(&mut self, text: &str) {
        let mut line = Line::default();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match c {
                '#' if line.word.is_none() => after
                    .find('\n')
                    .and_then(|end| after.get(end..))
                    .unwrap_or_default(),
                ' ' | '\t' | '\r' => {
                    line.end_word();
                    after
                }
                '\n' | ';' | '&' | '|' | '(' | ')' => {
                    // `2>&1` is no end of a command.
                    self.end(&mut line);
                    after
                }
                '<' | '>' => self.redirect(rest, &mut line),
                '\\' => match after.strip_prefix('\n') {
                    Some(after) => after,
                    None => take_char(after, &mut line),
                },
                '\'' => {
                    let (quoted, after) = after.split_once('\'').unwrap_or((after, ""));
                    line.push(quoted);
                    after
                }
                '"' => self.double_quoted(after, &mut line),
                '$' => self.dollar(after, &mut line, false),
                '`' => self.backquoted(rest, &mut line),
                _ => {
                    line.push(c.encode_utf8(&mut [0; 4]));
                    after
                }
            };
        }
        self.end(&mut line);
    }

    /// A text that begins with a backquote.
    fn backquoted<'t>(&mut self, text: &'t str, line: &mut Line) -> &'t str {
        let mut escaped = true;
        let end = text.char_indices().find(|&(_, c)| {
            let ends = c == '`' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end
            .and_then(|(at, _)| text.get(at + 1..))
            .unwrap_or_default();
        self.unknown(text, end, line);
        end
    }

    fn double_quoted<'t>(&mut self, text: &'t str, line: &mut Line) -> &'t str {
        line.push("");
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match c {
                '"' => return after,
                '\\' if after.starts_with(['"', '\\', '$', '`']) => take_char(after, line),
                '\\' if after.starts_with('\n') => after.get(1..).unwrap_or_default(),
                '$' => self.dollar(after, line, true),
                '`' => self.backquoted(rest, line),
                _ => {
                    line.push(c.encode_utf8(&mut [0; 4]));
                    after
                }
            };
        }
        rest
    }

    /// What follows a `$`.
    fn dollar<'t>(&mut self, text: &'t str, line: &mut Line, quoted: bool) -> &'t str {
        if let Some(after) = text.strip_prefix(['@', '*']) {
            self.arguments(line);
            return after;
        }
        if let Some(braced) = text.strip_prefix('{') {
            let Some((inner, after)) = braced.split_once('}') else {
                self.unknown(text, "", line);
                return "";
            };
            if inner == "@" {
                self.arguments(line);
                return after;
            }
            let (name, default) = match inner.split_once(":-").or_else(|| inner.split_once('-')) {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            // A default with an expansion of its own ends at another brace.
            if !is_name(name) || default.is_some_and(|default| default.contains('$')) {
                let end = if inner.contains("${") {
                    after.split_once('}').map_or(after, |(_, it)| it)
                } else {
                    after
                };
                self.unknown(text, end, line);
                return end;
            }
            // Without a colon an empty value is as good as any.
            let is_set = self.variables.contains_key(name);
            let default = default.filter(|_| !is_set || inner.contains(":-"));
            self.put(name, default, line, quoted);
            return after;
        }
        if text.starts_with('(') {
            let end = closing(text)
                .and_then(|end| text.get(end..))
                .unwrap_or_default();
            self.unknown(text, end, line);
            return end;
        }
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        if is_name(name) {
            self.put(name, None, line, quoted);
            return after;
        }
        line.push("$");
        text
    }

    fn put(&mut self, name: &str, default: Option<&str>, line: &mut Line, quoted: bool) {
        let value = self.variables.get(name).map(|(value, _)| value.as_str());
        let sets_it = SET_BY_SHELLS.contains(&name) || (default.is_none() && self.may_set_more());
        if value.is_none() && sets_it {
            self.unknown(&format!("{{{name}}}"), "", line);
            return;
        }
        let value = match (value, default) {
            (Some(""), Some(default)) => default,
            (Some(value), _) => value,
            (None, Some(default)) => default,
            (None, None) => {
                self.script.unset.push(name.to_owned());
                ""
            }
        };
        if quoted {
            line.push(value);
            return;
        }
        // Without quotes the value is split, but not where it is not known.
        let value = value.to_owned();
        let mut rest = value.as_str();
        while let Some(c) = rest.chars().next() {
            let unknown = self.script.unknown.iter();
            let whole = unknown
                .filter(|_| is_substitution(rest))
                .filter(|text| is_substitution(text) && rest.starts_with(text.as_str()))
                .map(String::len)
                .max();
            let (part, after) = rest.split_at(whole.unwrap_or(c.len_utf8()));
            if whole.is_none() && c.is_ascii_whitespace() {
                line.end_word();
            } else {
                line.push(part);
            }
            rest = after;
        }
    }

    /// Whether something before may have set variables that are not known of.
    fn may_set_more(&self) -> bool {
        let mut unknown = self.script.unknown.iter();
        unknown.any(|text| {
            ["case", "eval", "for", "while", "until"].contains(&text.as_str())
                || text.starts_with(". ")
        })
    }

    fn arguments(&mut self, line: &mut Line) {
        let mut arguments = self.surroundings.arguments.iter().peekable();
        // An empty list leaves no word, not even in quotes.
        if arguments.peek().is_none() && line.word.as_deref() == Some("") {
            line.word = None;
        }
        while let Some(argument) = arguments.next() {
            line.push(argument);
            if arguments.peek().is_some() {
                line.end_word();
            }
        }
    }

    /// Keeps as it is written what is not understood: from `text`, which a `$` stands before, to `end`.
    fn unknown(&mut self, text: &str, end: &str, line: &mut Line) {
        let written = text.strip_suffix(end).unwrap_or(text);
        let written = if written.starts_with('`') {
            written.to_owned()
        } else {
            format!("${written}")
        };
        line.push(&written);
        self.script.note_unknown(written);
    }

    fn redirect<'t>(&mut self, text: &'t str, line: &mut Line) -> &'t str {
        // The number before it is part of it.
        if line
            .word
            .as_ref()
            .is_some_and(|word| word.chars().all(|c| c.is_ascii_digit()))
        {
            line.word = None;
        }
        line.end_word();
        let after = text.trim_start_matches(['<', '>', '&', ' ']);
        if text.starts_with("<<") {
            self.script.note_unknown("<<".to_owned());
        }
        if let Some(end) = after.strip_prefix('(').and_then(|_| closing(after)) {
            let end = after.get(end..).unwrap_or_default();
            self.unknown(text, end, line);
            return end;
        }
        let end = after
            .find([' ', '\t', '\n', ';', '&', '|', ')'])
            .unwrap_or(after.len());
        after.get(end..).unwrap_or_default()
    }

    /// A command is complete.
    fn end(&mut self, line: &mut Line) {
        line.end_word();
        let words = std::mem::take(&mut line.words);
        let mut words = words.as_slice();
        while let Some((first, others)) = words.split_first() {
            match first.as_str() {
                "if" | "then" | "else" | "elif" | "while" | "until" | "do" | "for" | "case"
                | "!" | "function" => {
                    self.script.note_unknown(first.clone());
                    words = others;
                }
                "fi" | "done" | "esac" | "{" | "}" => words = others,
                _ => break,
            }
        }
        let assigned = words
            .iter()
            .take_while(|word| assignment(word).is_some())
            .count();
        let (assignments, command) = words.split_at(assigned);
        let assignments: Vec<_> = assignments
            .iter()
            .filter_map(|word| assignment(word))
            .collect();
        let Some((program, arguments)) = command.split_first() else {
            for (name, value) in assignments {
                self.assign(name, value, false);
            }
            return;
        };
        match program.as_str() {
            "export" | "declare" | "typeset" => self.export(arguments),
            "set" => self.set(arguments),
            "unset" => {
                for name in arguments {
                    self.variables.remove(name);
                }
            }
            "read" => self.read_variables(arguments),
            "eval" => self.script.note_unknown("eval".to_owned()),
            "cd" => self.directory = arguments.first().cloned(),
            "." | "source" => self.source(arguments),
            _ => {
                let mut words = command;
                if program == "exec" {
                    words = arguments;
                }
                let mut variables: BTreeMap<_, _> = self
                    .variables
                    .iter()
                    .filter(|(_, (_, exported))| *exported)
                    .map(|(name, (value, _))| (name.clone(), value.clone()))
                    .collect();
                for (name, value) in assignments {
                    variables.insert(name.to_owned(), value.to_owned());
                }
                self.script.commands.push(Command {
                    words: words.to_vec(),
                    variables,
                    directory: self.directory.clone(),
                });
            }
        }
    }

    fn assign(&mut self, name: &str, value: &str, export: bool) {
        let before = self
            .variables
            .get(name)
            .is_some_and(|(_, exported)| *exported);
        let exported = export || before || self.export_all;
        self.variables
            .insert(name.to_owned(), (value.to_owned(), exported));
    }

    fn export(&mut self, arguments: &[String]) {
        for argument in arguments {
            if let Some((name, value)) = assignment(argument) {
                self.assign(name, value, true);
            } else if let Some((_, exported)) = self.variables.get_mut(argument) {
                *exported = true;
            }
        }
    }

    /// Nobody knows what is read.
    fn read_variables(&mut self, arguments: &[String]) {
        for name in arguments.iter().filter(|name| is_name(name)) {
            let written = format!("${{{name}}}");
            self.assign(name, &written, false);
            self.script.note_unknown(written);
        }
    }

    fn set(&mut self, arguments: &[String]) {
        for argument in arguments {
            if argument.starts_with('-') && argument.contains('a') {
                self.export_all = true;
            } else if argument.starts_with('+') && argument.contains('a') {
                self.export_all = false;
            }
        }
    }

    fn source(&mut self, arguments: &[String]) {
        let Some(file) = arguments.first() else {
            return;
        };
        self.script.sourced.push(file.clone());
        match (self.surroundings.read)(file) {
            Some(text) if self.depth < DEEPEST => {
                self.depth += 1;
                self.run(&text);
                self.depth -= 1;
            }
            _ => self.script.note_unknown(format!(". {file}")),
        }
    }
}

fn take_char<'t>(text: &'t str, line: &mut Line) -> &'t str {
    match text.chars().next() {
        Some(c) => {
            line.push(c.encode_utf8(&mut [0; 4]));
            text.get(c.len_utf8()..).unwrap_or_default()
        }
        None => text,
    }
}

/// Variables that a shell has although nobody sets them.
const SET_BY_SHELLS: &[&str] = &[
    "EUID", "HOME", "HOSTNAME", "HOSTTYPE", "LOGNAME", "MACHTYPE", "OSTYPE", "PATH", "PPID", "PWD",
    "RANDOM", "SECONDS", "SHELL", "UID", "USER",
];

/// Whether a shell puts something in the place of this text, which is as it is written; what else is not understood, like `if`, only
/// decides what is run.
pub(super) fn is_substitution(text: &str) -> bool {
    text.starts_with(['$', '`'])
}

/// Where what begins with a parenthesis ends, behind its closing one. Those in quotes and comments close nothing; where none does then, as
/// with an apostrophe in a here-document, all count.
fn closing(text: &str) -> Option<usize> {
    closing_outside_of_quotes(text).or_else(|| {
        let mut depth = 0usize;
        let mut parentheses = text.match_indices(['(', ')']);
        let (at, _) = parentheses.find(|(_, which)| {
            depth = match *which {
                "(" => depth + 1,
                _ => depth.saturating_sub(1),
            };
            depth == 0
        })?;
        Some(at + 1)
    })
}

fn closing_outside_of_quotes(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    let mut is_comment = false;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let begins_word = before.is_whitespace();
        before = c;
        if std::mem::take(&mut escaped) {
            continue;
        }
        if is_comment {
            is_comment = c != '\n';
            continue;
        }
        match (c, quote) {
            ('\\', None | Some('"')) => escaped = true,
            ('#', None) if begins_word => is_comment = true,
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(end)) if c == end => quote = None,
            ('(', None) => depth += 1,
            (')', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at + c.len_utf8());
        }
    }
    None
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(name, _)| is_name(name))
}

fn is_name(text: &str) -> bool {
    super::environment_file::is_name(text)
}

#[cfg(test)]
mod tests;
