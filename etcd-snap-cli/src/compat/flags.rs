//! Flags as etcd's tools read them (github.com/spf13/pflag): `--x=y`, `--x y`, `-w json`, `-wjson`, anywhere on the line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use super::dialect::Dialect;
use super::go;

/// One flag of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    since: Option<Dialect>,
    until: Option<Dialect>,
    /// One that the original does not have; it is taken in every dialect.
    pub(crate) ours: bool,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Text,
    /// With commas; repeated, it adds to what was given.
    List,
    Time,
    Int,
    Uint,
}

impl Flag {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        about: &'static str,
    ) -> Self {
        Self {
            name,
            short: None,
            kind,
            default,
            about,
            since: None,
            until: None,
            ours: false,
        }
    }

    pub(crate) const fn switch(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Switch, "false", about)
    }

    pub(crate) const fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Text, "", about)
    }

    pub(crate) const fn int(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Int, "0", about)
    }

    pub(crate) const fn uint(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Uint, "0", about)
    }

    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
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

    pub(crate) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(crate) fn exists(&self, dialect: Dialect) -> bool {
        self.since.is_none_or(|since| since <= dialect)
            && self.until.is_none_or(|until| dialect <= until)
    }

    fn takes_value(&self) -> bool {
        self.kind != Kind::Switch
    }

    /// `"-w, --write-out"`, as refusals name it.
    fn shown(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.name),
            None => format!("--{}", self.name),
        }
    }

    fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Switch => go::parse_bool(value).map(drop),
            Kind::Time => go::parse_duration(value).map(drop),
            Kind::Int => go::parse_int(value).map(drop),
            Kind::Uint => go::parse_uint(value).map(drop),
            Kind::Text | Kind::List => Ok(()),
        }
    }
}

/// The flags that a command has, and what they were given.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    known: Vec<Flag>,
    given: BTreeMap<&'static str, String>,
}

impl Flags {
    /// Flags in a dialect, before anything is read. Of flags with one name, the first counts.
    pub(crate) fn new(known: impl IntoIterator<Item = Flag>, dialect: Dialect) -> Self {
        let mut flags: Vec<Flag> = Vec::new();
        for flag in known {
            if (flag.ours || flag.exists(dialect)) && flags.iter().all(|one| one.name != flag.name)
            {
                flags.push(flag);
            }
        }
        Self {
            known: flags,
            given: BTreeMap::new(),
        }
    }

    /// Takes the flags out of the words, and returns what is left. What is refused is worded as pflag does.
    pub(crate) fn read(&mut self, words: &[OsString]) -> Result<Vec<OsString>, String> {
        let mut rest = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            // A value that is not UTF-8 can only be an argument: names of flags are not.
            let Some(text) = word.to_str() else {
                rest.push(word.clone());
                continue;
            };
            if text == "--" {
                rest.extend(words.cloned());
                break;
            }
            if let Some(long) = text.strip_prefix("--") {
                self.read_long(text, long, &mut words)?;
            } else if text.len() > 1 && text.starts_with('-') {
                self.read_short(&text[1..], &mut words)?;
            } else {
                rest.push(word.clone());
            }
        }
        Ok(rest)
    }

    fn read_long<'a>(
        &mut self,
        whole: &str,
        long: &str,
        words: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), String> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {whole}"));
        }
        let flag = self
            .find(name)
            .ok_or_else(|| format!("unknown flag: --{name}"))?;
        let value = match value {
            Some(value) => value,
            None if !flag.takes_value() => "true".to_owned(),
            None => {
                let value = words
                    .next()
                    .ok_or_else(|| format!("flag needs an argument: --{name}"))?;
                text_of(&flag, value)?
            }
        };
        self.set_flag(&flag, value)
    }

    /// A heap of letters: `-hw json`, `-wjson`, `-w=json`.
    fn read_short<'a>(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), String> {
        let mut rest = letters;
        while let Some(letter) = rest.chars().next() {
            let behind = &rest[letter.len_utf8()..];
            let flag = self
                .known
                .iter()
                .find(|flag| flag.short == Some(letter))
                .copied()
                .ok_or_else(|| format!("unknown shorthand flag: {} in -{rest}", go_rune(letter)))?;
            let value = if let Some(value) = behind.strip_prefix('=') {
                rest = "";
                value.to_owned()
            } else if !flag.takes_value() {
                rest = behind;
                "true".to_owned()
            } else if behind.is_empty() {
                rest = "";
                let value = words.next().ok_or_else(|| {
                    format!("flag needs an argument: {} in -{letter}", go_rune(letter))
                })?;
                text_of(&flag, value)?
            } else {
                let value = behind.to_owned();
                rest = "";
                value
            };
            self.set_flag(&flag, value)?;
        }
        Ok(())
    }

    fn set_flag(&mut self, flag: &Flag, value: String) -> Result<(), String> {
        flag.check(&value).map_err(|why| {
            format!(
                "invalid argument {} for {} flag: {why}",
                go::quote(&value),
                go::quote(&flag.shown())
            )
        })?;
        match (flag.kind, self.given.get_mut(flag.name)) {
            (Kind::List, Some(given)) => {
                given.push(',');
                given.push_str(&value);
            }
            _ => {
                self.given.insert(flag.name, value);
            }
        }
        Ok(())
    }

    /// Gives a flag a value that was not typed; `false` where it does not fit, as the original ignores it then.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> bool {
        self.find(name)
            .is_some_and(|flag| self.set_flag(&flag, value.to_owned()).is_ok())
    }

    /// Puts a value in the place of what was given.
    pub(crate) fn replace(&mut self, name: &str, value: String) {
        if let Some(flag) = self.find(name) {
            self.given.insert(flag.name, value);
        }
    }

    fn find(&self, name: &str) -> Option<Flag> {
        self.known.iter().find(|flag| flag.name == name).copied()
    }

    /// Whether somebody gave it a value, the default even.
    pub(crate) fn changed(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// The value, given or not. Of a flag that this dialect does not have, nothing.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.given.get(name) {
            Some(value) => value,
            None => self.find(name).map_or("", |flag| flag.default),
        }
    }

    pub(crate) fn switch(&self, name: &str) -> bool {
        go::parse_bool(self.text(name)).unwrap_or(false)
    }

    pub(crate) fn time(&self, name: &str) -> Duration {
        go::parse_duration(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn int(&self, name: &str) -> i64 {
        go::parse_int(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn uint(&self, name: &str) -> u64 {
        go::parse_uint(self.text(name)).unwrap_or_default()
    }
}

fn text_of(flag: &Flag, value: &OsString) -> Result<String, String> {
    value.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        format!(
            "invalid argument {} for {} flag: it is not UTF-8",
            go::quote_bytes(value.as_bytes()),
            go::quote(&flag.shown())
        )
    })
}

/// `'x'`, `%q` of a rune.
fn go_rune(letter: char) -> String {
    match letter {
        '\'' => "'\\''".to_owned(),
        _ => {
            let quoted = go::quote(&letter.to_string());
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 7] = [
        Flag::text("write-out", "").short('w').default("simple"),
        Flag::switch("hex", ""),
        Flag::switch("help", "").short('h'),
        Flag::new("endpoints", Kind::List, "127.0.0.1:2379", ""),
        Flag::new("dial-timeout", Kind::Time, "2s", ""),
        Flag::int("rev", ""),
        Flag::uint("max", "").since(Dialect::V3_6),
    ];

    fn read(dialect: Dialect, words: &[&str]) -> Result<(Flags, Vec<OsString>), String> {
        let mut flags = Flags::new(KNOWN, dialect);
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let rest = flags.read(&words)?;
        Ok((flags, rest))
    }

    #[test]
    fn every_spelling_is_read() {
        for words in [
            &["--write-out", "json", "a"][..],
            &["--write-out=json", "a"],
            &["-w", "json", "a"],
            &["-wjson", "a"],
            &["-w=json", "a"],
            &["a", "-w", "json"],
            &["-hw", "json", "a"],
            &["-w", "table", "-w", "json", "a"],
        ] {
            let (flags, rest) = read(Dialect::V3_7, words).unwrap();
            assert_eq!(flags.text("write-out"), "json", "{words:?}");
            assert_eq!(rest, ["a"], "{words:?}");
        }
        let (flags, rest) = read(Dialect::V3_7, &["--hex", "false", "--", "--rev"]).unwrap();
        assert!(flags.switch("hex"));
        assert_eq!(rest, ["false", "--rev"]);
        let (flags, _) = read(
            Dialect::V3_7,
            &["--hex=F", "--endpoints=a,b", "--endpoints=c"],
        )
        .unwrap();
        assert!(!flags.switch("hex") && flags.changed("hex"));
        assert_eq!(flags.text("endpoints"), "a,b,c");
        assert_eq!(flags.time("dial-timeout"), Duration::from_secs(2));
        let (_, rest) = read(Dialect::V3_7, &["-"]).unwrap();
        assert_eq!(rest, ["-"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_pflag_does() {
        for (words, error) in [
            (&["--nosuch"][..], "unknown flag: --nosuch"),
            (&["--max=1"], "unknown flag: --max"),
            (&["-x"], "unknown shorthand flag: 'x' in -x"),
            (&["-hxy"], "unknown shorthand flag: 'x' in -xy"),
            (&["--rev"], "flag needs an argument: --rev"),
            (&["-w"], "flag needs an argument: 'w' in -w"),
            (&["--=x"], "bad flag syntax: --=x"),
            (&["---x"], "bad flag syntax: ---x"),
            (
                &["--rev", "x"],
                r#"invalid argument "x" for "--rev" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                &["--hex=maybe"],
                r#"invalid argument "maybe" for "--hex" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
            (
                &["--dial-timeout=5"],
                r#"invalid argument "5" for "--dial-timeout" flag: time: missing unit in duration "5""#,
            ),
        ] {
            assert_eq!(read(Dialect::V3_5, words).unwrap_err(), error);
        }
    }
}
