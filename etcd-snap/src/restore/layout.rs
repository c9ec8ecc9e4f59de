//! Where the files of the new members go, and what is there already. Nothing is written here.
//!
//! A directory that does not exist is staged beside its name, with what is missing above it. One that exists is kept, and
//! what goes into it is staged inside; the old `member` in it, if it is to be replaced, is kept beside the new one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::owner::{doubts, ownership};
use super::unfinished::journal_for;
use super::{MemberTarget, RestoreOptions};
use crate::data_dir::database;
use crate::io::{Ownership, Storage, directory_of, is_staged_name};
use crate::raft::wal;
use crate::{Error, ErrorKind, NewMember, Result, Snapshot};

/// Where everything goes.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// The directories that are staged, each once.
    pub(super) trees: Vec<Tree>,
    /// Where the journal goes, if one is needed.
    pub(super) journal: PathBuf,
}

/// A directory that is staged beside its name.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) target: PathBuf,
    pub(super) ownership: Ownership,
    /// What is there already and has the say about owners.
    pub(super) like: Option<PathBuf>,
}

/// One member's places, as final paths.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) member: &'a NewMember,
    pub(super) target: &'a MemberTarget,
    pub(super) data_dir: PathBuf,
    /// `member/` in it.
    pub(super) directory: PathBuf,
    pub(super) wal: Wal,
    /// Where the old `member/` will be, if there is one.
    pub(super) kept: Option<PathBuf>,
    /// What is there already and has the say about owners.
    like: Option<PathBuf>,
}

/// The directory of the WAL.
#[derive(Debug)]
pub(super) enum Wal {
    /// It appears with one of the trees.
    New(PathBuf),
    /// It is there, empty, and gets the segment.
    Existing(PathBuf),
    /// It is there with the segments of the old member, and is renamed.
    Renamed { path: PathBuf, kept: PathBuf },
    /// The same, but it cannot be renamed: the old segments go to a directory inside.
    Emptied { path: PathBuf, kept: PathBuf },
}

impl Member<'_> {
    pub(super) fn database(&self) -> PathBuf {
        database(&self.data_dir)
    }

    pub(super) fn snap(&self, file: &str) -> PathBuf {
        self.directory.join("snap").join(file)
    }

    pub(super) fn wal_dir(&self) -> &Path {
        match &self.wal {
            Wal::New(path)
            | Wal::Existing(path)
            | Wal::Renamed { path, .. }
            | Wal::Emptied { path, .. } => path,
        }
    }

    /// Where the old WAL will be, if it does not go with the old `member/`.
    pub(super) fn kept_wal(&self) -> Option<&Path> {
        match &self.wal {
            Wal::New(_) | Wal::Existing(_) => None,
            Wal::Renamed { kept, .. } | Wal::Emptied { kept, .. } => Some(kept),
        }
    }

    /// Whether the WAL directory stays, and its segment is staged inside.
    pub(super) fn is_wal_inside(&self) -> bool {
        matches!(self.wal, Wal::Existing(_) | Wal::Emptied { .. })
    }
}

impl<'a> Layout<'a> {
    /// Looks at the targets. Refuses what is occupied.
    pub(super) fn plan(
        storage: &dyn Storage,
        members: &[(&'a NewMember, &'a MemberTarget)],
        options: &RestoreOptions,
    ) -> Result<Self> {
        let now = now();
        let mut layout = Self {
            members: Vec::new(),
            trees: Vec::new(),
            journal: PathBuf::new(),
        };
        for (member, target) in members {
            let planned = layout.plan_member(storage, member, target, options, &now)?;
            layout.members.push(planned);
        }
        layout.require_apart()?;
        if let Some(first) = layout.members.first() {
            layout.journal = journal_for(&first.data_dir)?;
        }
        Ok(layout)
    }

    fn plan_member(
        &mut self,
        storage: &dyn Storage,
        member: &'a NewMember,
        target: &'a MemberTarget,
        options: &RestoreOptions,
        now: &str,
    ) -> Result<Member<'a>> {
        let data_dir = resolve(target.data_dir())?;
        // An existing data directory gets `member`, an absent one comes whole.
        let directory = data_dir.join("member");
        let mut kept = None;
        let (tree, like) = match look(&data_dir, "data directory", options.replace)? {
            Found::Absent => (topmost_absent(&data_dir)?, None),
            Found::Empty => (directory.clone(), Some(data_dir.clone())),
            Found::Old => {
                require_replaceable(storage, &directory)?;
                kept = Some(free_name(&data_dir, "member", now)?);
                (directory.clone(), Some(directory.clone()))
            }
        };
        self.tree(tree, options, like.as_deref())?;
        let wal = match target.wal_dir() {
            None => self.own_wal(storage, &directory, kept.is_some(), now)?,
            Some(wal_dir) => {
                let wal_dir = resolve(wal_dir)?;
                if directory.starts_with(&wal_dir) {
                    return Err(Error::invalid(format!(
                        "the WAL directory {} holds the data directory: choose one beside or below it",
                        wal_dir.display()
                    )));
                }
                if wal_dir.starts_with(directory.join("snap")) {
                    return Err(Error::invalid(format!(
                        "the WAL directory {} is where the database goes: choose another",
                        wal_dir.display()
                    )));
                }
                let is_emptied = storage.is_mount_point(&wal_dir)
                    || (kept.is_some() && wal_dir.starts_with(&directory));
                match look_at_wal(&wal_dir, kept.is_some())? {
                    Found::Absent => {
                        if !self
                            .trees
                            .iter()
                            .any(|tree| wal_dir.starts_with(&tree.target))
                        {
                            self.tree(topmost_absent(&wal_dir)?, options, like.as_deref())?;
                        }
                        Wal::New(wal_dir)
                    }
                    Found::Empty => Wal::Existing(wal_dir),
                    Found::Old if is_emptied => Wal::Emptied {
                        kept: free_name(&wal_dir, "wal", now)?,
                        path: wal_dir,
                    },
                    Found::Old => {
                        self.tree(wal_dir.clone(), options, Some(&wal_dir))?;
                        let name = wal_dir.file_name().map(OsString::from).unwrap_or_default();
                        let kept = free_name(directory_of(&wal_dir), &name.to_string_lossy(), now)?;
                        Wal::Renamed {
                            path: wal_dir,
                            kept,
                        }
                    }
                }
            }
        };
        Ok(Member {
            member,
            target,
            data_dir,
            directory,
            wal,
            kept,
            like,
        })
    }

    /// The WAL in `member/`: a filesystem of its own stays where it is.
    fn own_wal(
        &self,
        storage: &dyn Storage,
        directory: &Path,
        is_old: bool,
        now: &str,
    ) -> Result<Wal> {
        let path = directory.join("wal");
        if is_old && storage.is_mount_point(&path) {
            let kept = free_name(&path, "wal", now)?;
            return Ok(Wal::Emptied { path, kept });
        }
        Ok(Wal::New(path))
    }

    /// A tree that is part of one already known appears with it.
    fn tree(&mut self, path: PathBuf, options: &RestoreOptions, like: Option<&Path>) -> Result<()> {
        if !self.trees.iter().any(|tree| path.starts_with(&tree.target)) {
            self.trees.retain(|tree| !tree.target.starts_with(&path));
            self.trees.push(Tree {
                target: path,
                ownership: ownership(options.owner, like)?,
                like: like.map(ToOwned::to_owned),
            });
        }
        Ok(())
    }

    fn require_apart(&self) -> Result<()> {
        let meet = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
        for (n, member) in self.members.iter().enumerate() {
            for other in self.members.iter().skip(n + 1) {
                let places =
                    |member: &Member<'_>| [member.directory.clone(), member.wal_dir().to_owned()];
                let theirs = places(other);
                if places(member)
                    .iter()
                    .any(|ours| theirs.iter().any(|theirs| meet(ours, theirs)))
                {
                    return Err(Error::invalid(format!(
                        "the members {:?} and {:?} would share a directory: give each its own",
                        member.target.name(),
                        other.target.name()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses a snapshot that would be moved aside with the old data, but for the old database itself: that one is read to its end before
    /// anything is renamed.
    pub(super) fn require_source_apart(&self, snapshot: &Snapshot) -> Result<()> {
        let Some(path) = snapshot.path() else {
            return Ok(());
        };
        let source = fs::canonicalize(path).map_err(|e| Error::io("find", path, e))?;
        for member in &self.members {
            if source == member.database() {
                continue;
            }
            let moved = [member.kept.as_ref().map(|_| member.directory.as_path())];
            let wal = member.kept_wal().map(|_| member.wal_dir());
            for directory in moved.into_iter().chain([wal]).flatten() {
                if source.starts_with(directory) {
                    return Err(Error::invalid(format!(
                        "{} lies in {}, which would be moved aside: copy it to another place first",
                        path.display(),
                        directory.display()
                    ))
                    .with_path(path));
                }
            }
        }
        Ok(())
    }

    /// The directories that something is made in, which exist, each once, with the bytes that it takes there.
    pub(super) fn needs(&self, database_bytes: u64) -> Vec<(PathBuf, u64)> {
        /// Directories, `.snap` and journal.
        const LITTLE: u64 = 1 << 20;
        let mut needs: Vec<(PathBuf, u64)> = Vec::new();
        let mut need = |directory: &Path, bytes: u64| match needs
            .iter_mut()
            .find(|(known, _)| known == directory)
        {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => needs.push((directory.to_owned(), bytes)),
        };
        let home = |path: &Path| {
            let tree = self
                .trees
                .iter()
                .find(|tree| path.starts_with(&tree.target));
            directory_of(tree.map_or(path, |tree| &tree.target)).to_owned()
        };
        for member in &self.members {
            let bytes = database_bytes.saturating_add(LITTLE);
            need(&home(&member.directory), bytes);
            let segment = member.wal_dir().join(wal::FIRST_SEGMENT_NAME);
            need(&home(&segment), wal::SEGMENT_SIZE_BYTES);
        }
        needs
    }

    /// The directories whose entries are renamed, beside those that something is made in.
    pub(super) fn changed(&self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for member in &self.members {
            if member.kept.is_some() {
                changed.push(member.directory.clone());
                changed.push(member.directory.join("snap"));
            }
            if let Wal::Renamed { path, .. } = &member.wal {
                changed.push(directory_of(path).to_owned());
            }
        }
        changed.retain(|directory| directory.is_dir());
        changed
    }

    /// What could keep an etcd from opening the result.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut found = Vec::new();
        for tree in &self.trees {
            found.extend(doubts(&tree.ownership, &tree.target, tree.like.as_deref()));
        }
        for member in &self.members {
            let wal = member.directory.join("wal");
            if member.kept.is_some() && wal.is_symlink() && matches!(member.wal, Wal::New(_)) {
                found.push(format!(
                    "{} was a symbolic link to {}, and is a directory now: name the other place with --wal-dir to have the WAL there",
                    wal.display(),
                    fs::read_link(&wal).unwrap_or_default().display()
                ));
            } else if member.kept.is_some() && !wal.exists() && member.target.wal_dir().is_none() {
                found.push(format!(
                    "the old member in {} had its WAL in another place, which stays as it is: start etcd without --wal-dir, or \
                     restore with it",
                    member.data_dir.display()
                ));
            }
        }
        found
    }

    /// Whom a segment that is staged in an existing directory shall belong to.
    pub(super) fn segment_ownership(
        &self,
        member: &Member<'_>,
        options: &RestoreOptions,
    ) -> Result<Ownership> {
        let like = if member.wal_dir().exists() {
            Some(member.wal_dir())
        } else {
            member.like.as_deref()
        };
        ownership(options.owner, like)
    }
}

/// For names: `20261126T014700Z`.
pub(super) fn now() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.replace(['-', ':'], "")
}

/// `NAME.old-NOW` in a directory, or the like, if something has that name.
fn free_name(directory: &Path, name: &str, now: &str) -> Result<PathBuf> {
    free_name_of(directory, &format!("{name}.old-{now}"))
}

pub(super) fn free_name_of(directory: &Path, name: &str) -> Result<PathBuf> {
    let mut path = directory.join(name);
    for n in 2..1000_u32 {
        match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(e) => return Err(Error::io("look at", &path, e)),
            Ok(_) => path = directory.join(format!("{name}-{n}")),
        }
    }
    Err(Error::new(
        ErrorKind::Occupied,
        format!("{} has too many names like {name}", directory.display()),
    ))
}

/// A `member` that can be renamed, or whose entries can.
pub(super) fn require_replaceable(storage: &dyn Storage, directory: &Path) -> Result<()> {
    let refused = |why: &str| {
        let message = format!("cannot replace {}: {why}", directory.display());
        Err(Error::new(ErrorKind::Unsupported, message).with_path(directory))
    };
    let there = fs::symlink_metadata(directory);
    let there = there.map_err(|e| Error::io("look at", directory, e))?;
    if there.is_symlink() {
        return refused("it is a symbolic link; name a data directory that holds the real one");
    }
    if !there.is_dir() {
        return refused("it is not a directory");
    }
    if storage.is_mount_point(directory) || storage.is_mount_point(&directory.join("snap")) {
        return refused(
            "it, or snap in it, is a mount point; mount the data directory, or restore into another",
        );
    }
    Ok(())
}

enum Found {
    Absent,
    Empty,
    /// What is to be replaced.
    Old,
}

/// Absent, or a directory with nothing in it but what a filesystem puts there, or a restore that was killed: that is under a
/// name of its own, and may just as well belong to one that is still at work. Or one with an old member, if that is to be
/// replaced.
fn look(path: &Path, what: &str, replace: bool) -> Result<Found> {
    let Some(names) = entries(path, what)? else {
        return Ok(Found::Absent);
    };
    let Some(first) = names.first() else {
        return Ok(Found::Empty);
    };
    let is_data_dir = names.iter().any(|name| name == "member");
    if replace && is_data_dir {
        return Ok(Found::Old);
    }
    let advice = if is_data_dir {
        "replace the member in it with --replace, which keeps the old one, or name another"
    } else {
        "name another, or move the old one aside"
    };
    Err(occupied(path, what, first, advice))
}

fn look_at_wal(path: &Path, replace: bool) -> Result<Found> {
    let what = "WAL directory";
    let Some(names) = entries(path, what)? else {
        return Ok(Found::Absent);
    };
    let Some(first) = names.first() else {
        return Ok(Found::Empty);
    };
    let is_wal = |name: &OsString| {
        let name = name.to_string_lossy();
        [".wal", ".tmp", ".broken"]
            .iter()
            .any(|end| name.ends_with(end))
            || name.starts_with("wal.old-")
            || name.starts_with("wal.undone-")
    };
    match names.iter().find(|name| !is_wal(name)) {
        Some(other) if replace => Err(occupied(
            path,
            what,
            other,
            "that is no part of a WAL: name another, or move it aside",
        )),
        _ if replace => Ok(Found::Old),
        _ => Err(occupied(
            path,
            what,
            first,
            "name another, or move the old one aside",
        )),
    }
}

fn occupied(path: &Path, what: &str, name: &OsString, advice: &str) -> Error {
    Error::new(
        ErrorKind::Occupied,
        format!(
            "the {what} {} is not empty ({name:?} is in it): {advice}",
            path.display(),
        ),
    )
    .with_path(path)
}

/// The names in a directory that count; `None` where there is no directory.
fn entries(path: &Path, what: &str) -> Result<Option<Vec<OsString>>> {
    let failed = |e| Error::io(&format!("look into the {what}"), path, e);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::new(
                ErrorKind::Occupied,
                format!(
                    "the {what} {} cannot be made: a file is in the way",
                    path.display()
                ),
            )
            .with_path(path)
            .with_source(e));
        }
        Err(e) => return Err(failed(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if name != "lost+found" && !is_staged_name(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(Some(names))
}

/// The first directory of the path that does not exist.
pub(super) fn topmost_absent(path: &Path) -> Result<PathBuf> {
    let mut topmost = path;
    for ancestor in path.ancestors().skip(1) {
        match fs::symlink_metadata(ancestor) {
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::NotFound => topmost = ancestor,
            Err(e) => return Err(Error::io("look at", ancestor, e)),
        }
    }
    Ok(topmost.to_owned())
}

/// The path without `.`, `..` and symbolic links as far as it exists, so that two spellings of one place are the same.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::invalid("the path of a directory is empty: name one"));
    }
    let absolute = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    let mut rest = Vec::new();
    for ancestor in absolute.ancestors() {
        match fs::canonicalize(ancestor) {
            Ok(mut resolved) => {
                resolved.extend(rest.iter().rev());
                return Ok(resolved);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(ancestor).is_ok() {
                    return Err(Error::io("follow the symbolic link", ancestor, e));
                }
                // Where `..` leads to depends on what does not exist yet.
                let Some(name) = ancestor.file_name() else {
                    return Err(Error::invalid(format!(
                        "{} goes up with `..` from a directory that does not exist: write it without",
                        path.display()
                    ))
                    .with_path(path));
                };
                rest.push(name.to_owned());
            }
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(Error::new(
                    ErrorKind::Occupied,
                    format!("{} cannot be made: a file is in the way", path.display()),
                )
                .with_path(path)
                .with_source(e));
            }
            Err(e) => return Err(Error::io("look at", ancestor, e)),
        }
    }
    Ok(absolute)
}
