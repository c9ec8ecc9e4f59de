//! One tool, one line: what it prints, how it ends, what it leaves.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etcd_snap::{HashKvOptions, Snapshot};
use tempfile::TempDir;

use crate::lines::{Line, State};
use crate::world::World;

/// Longer than any of them takes that ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a tool gets of which it is known that it does not end.
const SHORT_PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// `None` where it did not end.
    pub(crate) code: Option<i32>,
    pub(crate) files: BTreeMap<String, Left>,
}

/// A file or directory that was not there before, or is another one now, or is gone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Left {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    /// Of a database: what `snapshot status` says.
    pub(crate) hash: Option<u32>,
    /// Of a database: what `hashkv` says, which holds for other members too.
    pub(crate) keys: Option<u32>,
}

impl Left {
    const GONE: Self = Self {
        kind: "gone",
        mode: 0,
        size: 0,
        hash: None,
        keys: None,
    };
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "code {:?}", self.code)?;
        writeln!(f, "stdout:\n{}", String::from_utf8_lossy(&self.stdout))?;
        writeln!(f, "stderr:\n{}", self.stderr)?;
        for (name, left) in &self.files {
            writeln!(f, "left {name}: {left:?}")?;
        }
        Ok(())
    }
}

pub(crate) fn theirs(world: &mut World, line: &Line) -> Result<Outcome> {
    let tool = world.tool(&line.words[0])?;
    let patience = match line.marks.iter().any(|mark| mark.name.starts_with("hangs")) {
        true => SHORT_PATIENCE,
        false => PATIENCE,
    };
    run(world, line, &tool, &[], patience)
}

pub(crate) fn ours(world: &mut World, line: &Line) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let tool = folder.path().join(&line.words[0]);
    symlink(env!("CARGO_BIN_EXE_etcd-snap"), &tool)?;
    let dialect = world.version.minor();
    run(
        world,
        line,
        &tool,
        &[("ETCD_SNAP_COMPAT", dialect)],
        PATIENCE,
    )
}

fn run(
    world: &mut World,
    line: &Line,
    tool: &Path,
    more: &[(&str, &str)],
    patience: Duration,
) -> Result<Outcome> {
    let folder = TempDir::with_prefix("etcd-snap-compat-")?;
    let work = folder.path().canonicalize()?;
    world.fill(&work)?;
    if line.state != State::Files {
        world.start(line.state)?;
        if line.saves() {
            world.settle(line.state)?;
        }
    }
    let before = list(&work)?;
    let fill = |text: &str| world.replace(text, line.state, &work);
    let mut command = Command::new(tool);
    command
        .current_dir(&work)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(match line.input() {
            Some(name) => fs::File::open(work.join(name))?.into(),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs(more.iter().copied());
    for (name, value) in &line.variables {
        command.env(name, fill(value)?);
    }
    for word in line.arguments() {
        command.arg(fill(word)?);
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", tool.display()))?;
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let code = wait(&mut child, patience)?;
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    let mut files = list(&work)?;
    let gone = before.keys().filter(|name| !files.contains_key(*name));
    let gone: Vec<String> = gone.cloned().collect();
    files.retain(|name, left| before.get(name) != Some(left));
    files.extend(gone.into_iter().map(|name| (name, Left::GONE)));
    let work = work.display().to_string();
    Ok(Outcome {
        stdout: match String::from_utf8(stdout) {
            Ok(text) => text.replace(&work, "{dir}").into_bytes(),
            Err(error) => error.into_bytes(),
        },
        stderr: String::from_utf8_lossy(&stderr).replace(&work, "{dir}"),
        code,
        files,
    })
}

fn reader(stream: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut std::process::Child, patience: Duration) -> Result<Option<i32>> {
    let end = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn list(folder: &Path) -> Result<BTreeMap<String, Left>> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let about = path.symlink_metadata()?;
            let name = path.strip_prefix(folder)?.display().to_string();
            let kind = if about.is_dir() {
                folders.push(path.clone());
                "directory"
            } else if about.is_symlink() {
                "link"
            } else {
                "file"
            };
            let is_database = kind == "file" && (name.ends_with(".db") || name.ends_with("/db"));
            let hashes = || {
                let snapshot = Snapshot::open(&path).ok()?;
                let status = etcd_snap::status(&snapshot).ok()?;
                let keys = etcd_snap::hash_kv(&snapshot, &HashKvOptions::default()).ok()?;
                Some((status.hash, keys.hash))
            };
            let hashes = is_database.then(hashes).flatten();
            found.insert(
                name,
                Left {
                    kind,
                    mode: about.permissions().mode() & 0o7777,
                    size: if kind == "file" { about.len() } else { 0 },
                    hash: hashes.map(|(hash, _)| hash),
                    keys: hashes.map(|(_, keys)| keys),
                },
            );
        }
    }
    Ok(found)
}
