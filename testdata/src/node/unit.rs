//! A service unit with its drop-ins, as far as the trees of the tests use what systemd has.
//!
//! Read without any of the code that the tests are about, so that a misunderstanding there cannot hide here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::below;

/// From the weightiest to the lightest.
const DIRECTORIES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// A unit as it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Path on the machine, and content: the unit itself, then its drop-ins.
    pub(super) files: Vec<(PathBuf, String)>,
    environment: Vec<(String, String)>,
    /// The path, and whether it may be absent.
    environment_files: Vec<(String, bool)>,
    exec_start: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) notifies: bool,
    pub(super) restarts: bool,
    working_directory: Option<PathBuf>,
}

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: BTreeMap<String, OsString>,
    pub(super) directory: PathBuf,
}

impl Unit {
    /// Reads the unit and its drop-ins from the disk.
    pub(super) fn load(root: &Path, name: &str) -> Result<Self> {
        let mut unit = Self {
            files: files(root, name)?,
            ..Self::default()
        };
        for (path, content) in unit.files.clone() {
            unit.apply(&content, name)
                .with_context(|| path.display().to_string())?;
        }
        Ok(unit)
    }

    fn apply(&mut self, content: &str, name: &str) -> Result<()> {
        let mut section = String::new();
        for line in logical_lines(content) {
            if line.starts_with('[') {
                section = line;
                continue;
            }
            let (key, value) = line.split_once('=').context("a line without =")?;
            if section == "[Service]" {
                self.set(key.trim(), &specifiers(value.trim(), name)?)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match (key, value) {
            ("Environment", "") => self.environment.clear(),
            ("EnvironmentFile", "") => self.environment_files.clear(),
            ("ExecStart", "") => self.exec_start.clear(),
            ("Environment", _) => {
                for word in words(value)? {
                    let (name, value) = word.split_once('=').context("Environment without =")?;
                    self.environment.push((name.to_owned(), value.to_owned()));
                }
            }
            ("EnvironmentFile", _) => {
                let path = value.strip_prefix('-');
                let is_optional = path.is_some();
                self.environment_files
                    .push((path.unwrap_or(value).to_owned(), is_optional));
            }
            ("ExecStart", _) => self.exec_start.push(value.to_owned()),
            ("User", _) => self.user = Some(value.to_owned()),
            ("Type", _) => self.notifies = value == "notify",
            ("Restart", _) => self.restarts = value != "no",
            ("WorkingDirectory", _) => self.working_directory = Some(value.into()),
            _ => {}
        }
        Ok(())
    }

    /// What starting it means now: files with variables are read at each start.
    pub(super) fn invocation(&self, root: &Path) -> Result<Invocation> {
        let mut variables: BTreeMap<String, String> = self.environment.iter().cloned().collect();
        for (path, is_optional) in &self.environment_files {
            match fs::read_to_string(below(root, Path::new(path))) {
                Ok(content) => variables.extend(environment_file(&content)),
                Err(_) if *is_optional => {}
                Err(error) => return Err(error).with_context(|| path.clone()),
            }
        }
        let [line] = self.exec_start.as_slice() else {
            bail!("{} lines ExecStart=, refusing", self.exec_start.len());
        };
        let expanded = words(line)?
            .iter()
            .flat_map(|word| expand(word, &variables))
            .collect::<Vec<_>>();
        let (program, arguments) = expanded.split_first().context("ExecStart is empty")?;
        let program = program.trim_start_matches(['@', '-', ':', '+', '!']);
        let on_machine = |value: &str| -> OsString {
            if value.starts_with('/') {
                below(root, Path::new(value)).into()
            } else {
                value.into()
            }
        };
        let argument = |word: &String| match word.split_once('=') {
            Some((flag, value)) if flag.starts_with('-') => {
                let mut word = OsString::from(format!("{flag}="));
                word.push(on_machine(value));
                word
            }
            _ => on_machine(word),
        };
        let directory = self.working_directory.as_deref();
        Ok(Invocation {
            program: below(root, Path::new(program)),
            arguments: arguments.iter().map(argument).collect(),
            variables: variables
                .into_iter()
                .map(|(name, value)| (name, on_machine(&value)))
                .collect(),
            directory: below(root, directory.unwrap_or(Path::new("/"))),
        })
    }
}

/// The unit, then its drop-ins by the names of their files; a name counts once, in the weightiest directory.
fn files(root: &Path, name: &str) -> Result<Vec<(PathBuf, String)>> {
    let unit = DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| below(root, path).exists())
        .with_context(|| format!("Unit {name} not found."))?;
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in DIRECTORIES.iter().rev() {
        let directory = Path::new(directory).join(format!("{name}.d"));
        let Ok(entries) = fs::read_dir(below(root, &directory)) else {
            continue;
        };
        for entry in entries {
            let file = entry?.file_name();
            if Path::new(&file).extension().is_some_and(|it| it == "conf") {
                let path = directory.join(&file);
                drop_ins.insert(file, path);
            }
        }
    }
    std::iter::once(unit)
        .chain(drop_ins.into_values())
        .map(|path| {
            let content = fs::read_to_string(below(root, &path))?;
            Ok((path, content))
        })
        .collect()
}

/// Lines without comments; one that ends in a backslash goes on in the next.
fn logical_lines(content: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in content.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) || (trimmed.is_empty() && !goes_on) {
            continue;
        }
        let (text, more) = match trimmed.strip_suffix('\\') {
            Some(text) => (text, true),
            None => (trimmed, false),
        };
        match lines.last_mut() {
            Some(last) if goes_on => {
                last.push(' ');
                last.push_str(text);
            }
            _ => lines.push(text.to_owned()),
        }
        goes_on = more;
    }
    lines
}

fn specifiers(value: &str, unit: &str) -> Result<String> {
    let mut text = String::new();
    let mut left = value.chars();
    while let Some(letter) = left.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match left.next() {
            Some('%') => text.push('%'),
            Some('n') => text.push_str(unit),
            Some('N' | 'p') => text.push_str(unit.trim_end_matches(".service")),
            other => bail!("the specifier {other:?} is not known here"),
        }
    }
    Ok(text)
}

/// Splits at blanks outside of quotes; a backslash takes the next letter as it is.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut left = line.chars();
    while let Some(letter) = left.next() {
        match (letter, quote) {
            ('\\', _) => {
                let next = left.next().context("a backslash at the end")?;
                word.get_or_insert_default().push(next);
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        bail!("a quote that does not end");
    }
    words.extend(word);
    Ok(words)
}

/// `${X}` is put in; `$X` alone becomes as many words as it has; `$$` is a dollar sign.
fn expand(word: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || it == '_')
    };
    if let Some(name) = word.strip_prefix('$').filter(|name| is_name(name)) {
        let value = variables.get(name).map_or("", String::as_str);
        return value.split_whitespace().map(str::to_owned).collect();
    }
    let mut text = String::new();
    let mut left = word;
    while let Some((before, after)) = left.split_once('$') {
        text.push_str(before);
        left = after;
        if let Some(after) = left.strip_prefix('$') {
            text.push('$');
            left = after;
        } else if let Some((name, after)) = left.strip_prefix('{').and_then(|it| it.split_once('}'))
        {
            text.push_str(variables.get(name).map_or("", String::as_str));
            left = after;
        } else {
            text.push('$');
        }
    }
    text.push_str(left);
    vec![text]
}

fn environment_file(content: &str) -> Vec<(String, String)> {
    logical_lines(content)
        .into_iter()
        .filter_map(|line| {
            let (name, value) = line.split_once('=')?;
            let value = value.trim();
            let bare = ['"', '\''].into_iter().find_map(|quote| {
                value
                    .strip_prefix(quote)
                    .and_then(|it| it.strip_suffix(quote))
            });
            Some((name.trim().to_owned(), bare.unwrap_or(value).to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, content: &str) -> Result<()> {
        let path = below(root, Path::new(path));
        fs::create_dir_all(path.parent().context("a parent")?)?;
        Ok(fs::write(path, content)?)
    }

    #[test]
    fn drop_ins_count_by_name_and_files_beat_the_environment() -> Result<()> {
        let tree = tempfile::tempdir()?;
        let root = tree.path();
        put(
            root,
            "/usr/lib/systemd/system/etcd.service",
            "[Service]\nType=notify\nEnvironment=\"ETCD_NAME=a b\" ETCD_DATA_DIR=/one\n\
             EnvironmentFile=-/etc/default/%p\nEnvironmentFile=-/etc/none\n\
             ExecStart=/usr/bin/etcd \\\n# said in between\n  --name=${ETCD_NAME} $MORE $$\nUser=etcd\n",
        )?;
        put(
            root,
            "/etc/default/etcd",
            "# words\nETCD_DATA_DIR='/two'\nMORE=\"-a -b\"\n",
        )?;
        put(
            root,
            "/usr/lib/systemd/system/etcd.service.d/20-b.conf",
            "[Service]\nUser=nobody\n",
        )?;
        put(
            root,
            "/etc/systemd/system/etcd.service.d/20-b.conf",
            "[Service]\nUser=somebody\n",
        )?;
        put(
            root,
            "/run/systemd/system/etcd.service.d/10-a.conf",
            "[Service]\nUser=else\nRestart=always\n",
        )?;
        let unit = Unit::load(root, "etcd.service")?;
        assert_eq!(unit.user.as_deref(), Some("somebody"));
        assert!(unit.notifies && unit.restarts);
        assert_eq!(unit.files.len(), 3);
        let invocation = unit.invocation(root)?;
        assert_eq!(invocation.program, root.join("usr/bin/etcd"));
        assert_eq!(invocation.arguments, ["--name=a b", "-a", "-b", "$"]);
        assert_eq!(
            invocation.variables["ETCD_DATA_DIR"],
            *root.join("two").as_os_str()
        );
        Ok(())
    }

    #[test]
    fn exactly_one_command_is_started() -> Result<()> {
        let tree = tempfile::tempdir()?;
        let path = "/etc/systemd/system/etcd.service";
        let lines = "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n";
        put(tree.path(), path, lines)?;
        let unit = Unit::load(tree.path(), "etcd.service")?;
        assert!(unit.invocation(tree.path()).is_err());
        put(
            tree.path(),
            "/etc/systemd/system/etcd.service.d/1.conf",
            "[Service]\nExecStart=\nExecStart=/bin/c\n",
        )?;
        let unit = Unit::load(tree.path(), "etcd.service")?;
        let invocation = unit.invocation(tree.path())?;
        assert_eq!(invocation.program, tree.path().join("bin/c"));
        Ok(())
    }
}
