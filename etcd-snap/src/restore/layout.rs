//! Where the files of the new members go: what is staged, and what is renamed in the end.
//!
//! A directory that does not exist is staged beside its name, with what is missing above it. One that exists is kept, and
//! what goes into it is staged inside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::MemberTarget;
use crate::io::{NewFile, Replace, StagedFile, StagedTree, Storage, is_staged_name};
use crate::raft::wal;
use crate::{Error, ErrorKind, NewMember, Result};

/// Where everything goes. Nothing has been written.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// The directories that appear by a rename, each once.
    trees: Vec<PathBuf>,
}

/// One member's places, as final paths.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) member: &'a NewMember,
    pub(super) target: &'a MemberTarget,
    pub(super) data_dir: PathBuf,
    /// `member/` in it.
    directory: PathBuf,
    pub(super) wal: Wal,
}

/// The directory of the WAL.
#[derive(Debug)]
pub(super) enum Wal {
    /// It appears with one of the trees.
    New(PathBuf),
    /// It is there, empty, and gets the segment.
    Existing(PathBuf),
}

impl Member<'_> {
    pub(super) fn database(&self) -> PathBuf {
        self.snap("db")
    }

    pub(super) fn snap(&self, file: &str) -> PathBuf {
        self.directory.join("snap").join(file)
    }

    pub(super) fn wal_dir(&self) -> &Path {
        match &self.wal {
            Wal::New(path) | Wal::Existing(path) => path,
        }
    }
}

impl<'a> Layout<'a> {
    /// Looks at the targets. Refuses what is occupied.
    pub(super) fn plan(members: &[(&'a NewMember, &'a MemberTarget)]) -> Result<Self> {
        let mut layout = Self {
            members: Vec::new(),
            trees: Vec::new(),
        };
        for (member, target) in members {
            let data_dir = resolve(target.data_dir())?;
            // An existing data directory gets `member`, an absent one comes whole.
            let directory = data_dir.join("member");
            match look(&data_dir, "data directory")? {
                Found::Absent => layout.tree(topmost_absent(&data_dir)?),
                Found::Empty => layout.tree(directory.clone()),
            }
            let wal = match target.wal_dir() {
                None => Wal::New(directory.join("wal")),
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
                    match look(&wal_dir, "WAL directory")? {
                        Found::Absent => {
                            if !layout.trees.iter().any(|tree| wal_dir.starts_with(tree)) {
                                layout.tree(topmost_absent(&wal_dir)?);
                            }
                            Wal::New(wal_dir)
                        }
                        Found::Empty => Wal::Existing(wal_dir),
                    }
                }
            };
            layout.members.push(Member {
                member,
                target,
                data_dir,
                directory,
                wal,
            });
        }
        layout.require_apart()?;
        // The WAL comes first: a server that finds one without a database stops, one that finds a database without a WAL
        // founds a new cluster.
        let data: Vec<_> = layout
            .members
            .iter()
            .map(|member| member.directory.clone())
            .collect();
        layout
            .trees
            .sort_by_key(|tree| data.iter().any(|member| member.starts_with(tree)));
        Ok(layout)
    }

    /// A tree that is part of one already known appears with it.
    fn tree(&mut self, path: PathBuf) {
        if !self.trees.iter().any(|tree| path.starts_with(tree)) {
            self.trees.retain(|tree| !tree.starts_with(&path));
            self.trees.push(path);
        }
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

    /// Makes the staging directories.
    pub(super) fn stage(&self, storage: &Arc<dyn Storage>) -> Result<Staging> {
        let mut staging = Staging {
            storage: Arc::clone(storage),
            trees: Vec::new(),
            segments: Vec::new(),
        };
        for tree in &self.trees {
            staging
                .trees
                .push(StagedTree::create(Arc::clone(storage), tree)?);
        }
        for member in &self.members {
            staging.create_dir(&member.directory.join("snap"))?;
            if let Wal::New(wal) = &member.wal {
                staging.create_dir(wal)?;
            }
        }
        Ok(staging)
    }
}

/// What will appear, still under other names. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Staging {
    storage: Arc<dyn Storage>,
    trees: Vec<StagedTree>,
    /// WAL segments for directories that exist.
    segments: Vec<StagedFile>,
}

impl Staging {
    fn tree(&mut self, path: &Path) -> Result<(&mut StagedTree, PathBuf)> {
        self.trees
            .iter_mut()
            .find_map(|tree| {
                let relative = path.strip_prefix(tree.target()).ok()?.to_owned();
                Some((tree, relative))
            })
            .ok_or_else(|| {
                Error::invalid(format!(
                    "{} belongs to no directory that is made",
                    path.display()
                ))
            })
    }

    fn create_dir(&mut self, path: &Path) -> Result<()> {
        let (tree, relative) = self.tree(path)?;
        tree.create_dir(&relative)
    }

    /// Makes the file that will have this path.
    pub(super) fn create_file(&mut self, path: &Path) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let (tree, relative) = self.tree(path)?;
        tree.create_file(&relative)
    }

    /// Makes the first segment of a member's WAL.
    pub(super) fn create_wal(
        &mut self,
        member: &Member<'_>,
    ) -> Result<(PathBuf, Arc<dyn NewFile>)> {
        let segment = member.wal_dir().join(wal::FIRST_SEGMENT_NAME);
        match &member.wal {
            Wal::New(_) => self.create_file(&segment),
            Wal::Existing(_) => {
                let staged = StagedFile::create(Arc::clone(&self.storage), &segment)?;
                let file = Arc::clone(staged.file());
                self.segments.push(staged);
                Ok((segment, file))
            }
        }
    }

    /// Syncs all names inside, and then gives the final names: all of them, or none.
    pub(super) fn publish(mut self) -> Result<()> {
        for tree in &self.trees {
            tree.sync_dirs()?;
        }
        let mut result = Ok(());
        for segment in &mut self.segments {
            result = result.and_then(|()| segment.publish(Replace::No));
        }
        for tree in &mut self.trees {
            result = result.and_then(|()| tree.publish());
        }
        if result.is_err() {
            self.trees.iter_mut().rev().for_each(StagedTree::retract);
            self.segments.iter_mut().rev().for_each(StagedFile::retract);
        }
        result
    }
}

enum Found {
    Absent,
    Empty,
}

/// Absent, or a directory with nothing in it but what a filesystem puts there, or a restore that was killed: that is under a
/// name of its own, and may just as well belong to one that is still at work.
fn look(path: &Path, what: &str) -> Result<Found> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
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
        Err(e) => return Err(Error::io(&format!("look into the {what}"), path, e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(&format!("look into the {what}"), path, e))?;
        let name = entry.file_name();
        if name != "lost+found" && !is_staged_name(&name) {
            return Err(Error::new(
                ErrorKind::Occupied,
                format!(
                    "the {what} {} is not empty ({:?} is in it): name another, or move the old one aside",
                    path.display(),
                    name
                ),
            )
            .with_path(path));
        }
    }
    Ok(Found::Empty)
}

/// The first directory of the path that does not exist.
fn topmost_absent(path: &Path) -> Result<PathBuf> {
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
fn resolve(path: &Path) -> Result<PathBuf> {
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
