//! The files of `EnvironmentFile=`, as systemd reads them. No shell is involved, though they look like it.

/// A line that sets nothing: what stands before its `=` is no name of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadName(pub(super) String);

const BLANK: &[char] = &[' ', '\t', '\n', '\r'];
const NEWLINE: &[char] = &['\n', '\r'];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    ValueEscape,
    SingleQuoted,
    DoubleQuoted,
    DoubleQuotedEscape,
    Comment,
    CommentEscape,
}

/// The variables of a file, in their order, and the names that are none.
pub(super) fn read(text: &str) -> (Vec<(String, String)>, Vec<BadName>) {
    let mut reader = Reader {
        state: State::BeforeKey,
        key: String::new(),
        value: String::new(),
        kept: 0,
        variables: Vec::new(),
        bad: Vec::new(),
    };
    for c in text.chars() {
        reader.take(c);
    }
    reader.end();
    (reader.variables, reader.bad)
}

struct Reader {
    state: State,
    key: String,
    value: String,
    /// How much of the value stays when the blanks at its end are taken off: what was escaped or quoted is not.
    kept: usize,
    variables: Vec<(String, String)>,
    bad: Vec<BadName>,
}

impl Reader {
    fn take(&mut self, c: char) {
        let newline = NEWLINE.contains(&c);
        let blank = BLANK.contains(&c);
        self.state = match self.state {
            State::BeforeKey if c == '#' || c == ';' => State::Comment,
            State::BeforeKey if blank => State::BeforeKey,
            State::BeforeKey => {
                self.key.push(c);
                State::Key
            }
            State::Key if newline => {
                self.key.clear();
                State::BeforeKey
            }
            State::Key if c == '=' => State::BeforeValue,
            State::Key => {
                self.key.push(c);
                State::Key
            }
            State::BeforeValue | State::Value if newline => {
                self.push();
                State::BeforeKey
            }
            State::BeforeValue if c == '\'' => State::SingleQuoted,
            State::BeforeValue if c == '"' => State::DoubleQuoted,
            State::BeforeValue | State::Value if c == '\\' => State::ValueEscape,
            State::BeforeValue if blank => State::BeforeValue,
            State::BeforeValue | State::Value => {
                self.value.push(c);
                if !blank {
                    self.kept = self.value.len();
                }
                State::Value
            }
            State::ValueEscape => {
                if !newline {
                    self.keep(c);
                }
                State::Value
            }
            State::SingleQuoted if c == '\'' => State::BeforeValue,
            State::SingleQuoted => {
                self.keep(c);
                State::SingleQuoted
            }
            State::DoubleQuoted if c == '"' => State::BeforeValue,
            State::DoubleQuoted if c == '\\' => State::DoubleQuotedEscape,
            State::DoubleQuoted => {
                self.keep(c);
                State::DoubleQuoted
            }
            State::DoubleQuotedEscape => {
                if "\"\\`$".contains(c) {
                    self.keep(c);
                } else if c != '\n' {
                    self.keep('\\');
                    self.keep(c);
                }
                State::DoubleQuoted
            }
            State::Comment if c == '\\' => State::CommentEscape,
            State::Comment if newline => State::BeforeKey,
            State::Comment => State::Comment,
            // Before systemd 254 a backslash at the end of a comment made the next line part of it. That is not followed here: which
            // version reads the file is not known, and the line is meant.
            State::CommentEscape if newline => State::BeforeKey,
            State::CommentEscape => State::Comment,
        };
    }

    fn end(&mut self) {
        match self.state {
            State::BeforeKey | State::Key | State::Comment | State::CommentEscape => {}
            _ => self.push(),
        }
    }

    fn keep(&mut self, c: char) {
        self.value.push(c);
        self.kept = self.value.len();
    }

    fn push(&mut self) {
        let key = std::mem::take(&mut self.key);
        let key = key.trim_end_matches(BLANK);
        let mut value = std::mem::take(&mut self.value);
        value.truncate(std::mem::take(&mut self.kept));
        if is_name(key) {
            self.variables.push((key.to_owned(), value));
        } else {
            self.bad.push(BadName(key.to_owned()));
        }
    }
}

/// Whether it can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_systemd_does() {
        for (text, expected) in [
            ("A=b", vec![("A", "b")]),
            ("A=b c  \nB=d", vec![("A", "b c"), ("B", "d")]),
            (
                "A= --name m1 --data-dir /d ",
                vec![("A", "--name m1 --data-dir /d")],
            ),
            ("A=", vec![("A", "")]),
            ("A=\nB=c", vec![("A", ""), ("B", "c")]),
            ("  A=b\n\n\t;x=y\n#A=c\n", vec![("A", "b")]),
            ("A =b", vec![("A", "b")]),
            ("A=b#c # d", vec![("A", "b#c # d")]),
            ("A='b c ' ", vec![("A", "b c ")]),
            ("A=\"b\"'c' d", vec![("A", "bcd")]),
            ("A=b\"c\"", vec![("A", "b\"c\"")]),
            (r"A='$B %H \n'", vec![("A", r"$B %H \n")]),
            (r#"A="\"\\\`\$ \n""#, vec![("A", "\"\\`$ \\n")]),
            ("A=b\\\nc", vec![("A", "bc")]),
            ("A=\"b\\\nc\nd\"", vec![("A", "bc\nd")]),
            (r"A=b\ \n", vec![("A", "b n")]),
            ("A=b\r\nB=c\r\n", vec![("A", "b"), ("B", "c")]),
            ("A=1\nA=2", vec![("A", "1"), ("A", "2")]),
            ("# a comment \\\nA=b", vec![("A", "b")]),
            ("just a text\nA=b", vec![("A", "b")]),
        ] {
            let (variables, bad) = read(text);
            let variables: Vec<_> = variables
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            assert_eq!(variables, expected, "{text:?}");
            assert_eq!(bad, [], "{text:?}");
        }
    }

    #[test]
    fn what_a_shell_would_take_is_no_name() {
        for text in ["export A=b", "A-B=c", "1A=b", "A B=c"] {
            let (variables, bad) = read(text);
            assert_eq!((variables.len(), bad.len()), (0, 1), "{text}");
        }
    }
}
