//! The steps from the old names to the new ones, so that no etcd starts from anything in between.
//!
//! An etcd that finds a database without a WAL founds a new cluster; one that finds a WAL without a database starts empty. So while
//! directories change one by one, a short text stands in the place of the database, which no etcd opens. It comes first and goes
//! last.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{Layout, Member, Wal};
use crate::data_dir::barrier;
use crate::io::{Place, Plan, StagedFile, StagedTree, Step, fresh_directory_name, is_staged_name};
use crate::{Error, Result};

/// In the new one of two directories that are exchanged.
pub(super) const MARKER: &str = ".etcd-snap-new";
/// The text that stands in for the database, before it does.
pub(super) const BARRIER: &str = ".etcd-snap-barrier";
/// The database, while the text has its name.
const WAITING: &str = ".etcd-snap-db";

/// What is done first: the databases are covered. Then all else, the databases, and what is tidied up.
#[derive(Debug, Default)]
pub(super) struct Steps {
    first: Vec<Step>,
    then: Vec<Step>,
    uncover: Vec<Step>,
    tidy: Vec<Step>,
    pub(super) staged: Vec<PathBuf>,
    litter: Vec<PathBuf>,
}

fn place(path: impl AsRef<Path>) -> Place {
    Place(path.as_ref().to_owned())
}

fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Step {
    Step::Rename {
        from: place(from),
        to: place(to),
    }
}

/// The new one takes the place of the old one in one step, which decides.
pub(super) fn by_exchange(new: &Path, directory: &Path, kept: &Path) -> Plan {
    let exchange = Step::Exchange {
        one: place(new),
        other: place(directory),
        marker: MARKER.to_owned(),
    };
    let marker = Step::RemoveFile {
        path: place(directory.join(MARKER)),
    };
    let mut plan = Plan::new(Vec::new(), exchange, vec![rename(new, kept), marker]);
    plan.staged.push(place(new));
    plan
}

/// The steps for everything that was staged. What is still to be made in the staged trees is made.
pub(super) fn by_steps(
    layout: &Layout<'_>,
    trees: &mut [StagedTree],
    segments: &mut [StagedFile],
) -> Result<Plan> {
    let mut steps = Steps::default();
    let text = |member: &Member<'_>| barrier(&member.data_dir, &layout.journal);
    for tree in trees {
        steps.staged.push(tree.staged().to_owned());
        let inside = |member: &&Member<'_>| member.directory.starts_with(tree.target());
        let members: Vec<_> = layout.members.iter().filter(inside).collect();
        if let [member] = *members
            && let Some(kept) = &member.kept
        {
            tree.write_file(&Path::new("snap").join(BARRIER), text(member).as_bytes())?;
            let wal = Some(member.wal_dir()).filter(|_| member.is_wal_inside());
            steps.replace(tree.staged(), &member.directory, kept, wal)?;
            continue;
        }
        for member in &members {
            let snap = member.directory.join("snap");
            let relative = snap.strip_prefix(tree.target()).unwrap_or(&snap);
            tree.rename(&relative.join("db"), &relative.join(WAITING))?;
            tree.write_file(&relative.join("db"), text(member).as_bytes())?;
            steps.uncover.push(Step::Uncover {
                from: place(snap.join(WAITING)),
                to: place(snap.join("db")),
                barrier: place(snap.join(BARRIER)),
            });
        }
        let renamed = rename(tree.staged(), tree.target());
        if members.is_empty() {
            steps.then.push(renamed);
        } else {
            steps.first.push(renamed);
        }
    }
    for member in &layout.members {
        match &member.wal {
            Wal::New(_) | Wal::Existing(_) => {}
            // Before what takes its name.
            Wal::Renamed { path, kept } => steps.then.insert(0, rename(path, kept)),
            Wal::Emptied { path, kept } => steps.empty(path, kept, None)?,
        }
    }
    for segment in segments {
        steps.staged.push(segment.staged().to_owned());
        steps.then.push(rename(segment.staged(), segment.target()));
    }
    let barrier = layout.members.first().map(text).unwrap_or_default();
    steps.plan(&layout.journal, barrier)
}

impl Steps {
    /// The entries of a directory that stays are replaced by those of another. The barrier is in `new/snap`.
    pub(super) fn replace(
        &mut self,
        new: &Path,
        directory: &Path,
        kept: &Path,
        stays: Option<&Path>,
    ) -> Result<()> {
        let (snap, new_snap) = (directory.join("snap"), new.join("snap"));
        let make = |path: &Path| Step::MakeDir { path: place(path) };
        self.first.push(make(kept));
        self.first.push(make(&kept.join("snap")));
        if !snap.is_dir() {
            self.first.push(make(&snap));
        }
        let database = snap.join("db");
        let is_there = fs::symlink_metadata(&database).is_ok();
        self.first.push(Step::Cover {
            database: place(&database),
            barrier: place(new_snap.join(BARRIER)),
            kept: is_there.then(|| place(kept.join("snap").join("db"))),
        });
        for name in names(&snap)? {
            if name != "db" {
                let to = kept.join("snap").join(&name);
                self.then.push(rename(snap.join(&name), to));
            }
        }
        for name in names(directory)? {
            let path = directory.join(&name);
            if name != "snap" && Some(path.as_path()) != stays {
                self.then.push(rename(path, kept.join(&name)));
            }
        }
        for name in names(&new_snap)? {
            if name != "db" && name != BARRIER {
                self.then
                    .push(rename(new_snap.join(&name), snap.join(&name)));
            }
        }
        for name in names(new)? {
            if name != "snap" {
                self.then
                    .push(rename(new.join(&name), directory.join(&name)));
            }
        }
        self.uncover.push(Step::Uncover {
            from: place(new_snap.join("db")),
            to: place(database),
            barrier: place(new_snap.join(BARRIER)),
        });
        for path in [&new_snap, new] {
            self.tidy.push(Step::RemoveDir { path: place(path) });
        }
        Ok(())
    }

    /// A WAL directory that stays: what is in it goes to a directory inside, but for what comes.
    pub(super) fn empty(&mut self, wal: &Path, kept: &Path, coming: Option<&Path>) -> Result<()> {
        self.then.push(Step::MakeDir { path: place(kept) });
        for name in names(wal)? {
            let path = wal.join(&name);
            let stays = is_kept_wal(&name) || name == "lost+found" || is_staged_name(&name);
            if !stays && !coming.is_some_and(|coming| coming.starts_with(&path)) {
                self.then.push(rename(path, kept.join(&name)));
            }
        }
        Ok(())
    }

    /// What was set aside inside a WAL directory that stays comes back.
    pub(super) fn fill(&mut self, wal: &Path, from: &Path) -> Result<()> {
        for name in names(from)? {
            self.then.push(rename(from.join(&name), wal.join(&name)));
        }
        self.tidy.push(Step::RemoveDir { path: place(from) });
        Ok(())
    }

    /// A member with a WAL elsewhere comes to a place that nothing has: the database is covered where it is, `from` becomes
    /// `to`, and the database in it gets its name back. The barrier is in `snap`, which is `new_snap` then.
    pub(super) fn move_in(&mut self, snap: &Path, new_snap: &Path, from: &Path, to: &Path) {
        self.first.push(Step::Cover {
            database: place(snap.join("db")),
            barrier: place(snap.join(BARRIER)),
            kept: Some(place(snap.join(WAITING))),
        });
        self.first.push(rename(from, to));
        self.uncover.push(Step::Uncover {
            from: place(new_snap.join(WAITING)),
            to: place(new_snap.join("db")),
            barrier: place(new_snap.join(BARRIER)),
        });
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        self.then.push(rename(from, to));
    }

    pub(super) fn make(&mut self, path: &Path) {
        self.then.push(Step::MakeDir { path: place(path) });
    }

    /// The step that decides brings back the database of the only member; where there are more of them, it makes an empty directory
    /// beside the journal.
    pub(super) fn plan(mut self, journal: &Path, barrier: String) -> Result<Plan> {
        self.first.append(&mut self.then);
        let commit = match (self.uncover.pop(), self.uncover.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                self.uncover.extend(last);
                let decided = fresh_directory_name(journal)?;
                self.litter.push(decided.clone());
                Step::MakeDir {
                    path: place(decided),
                }
            }
        };
        self.uncover.append(&mut self.tidy);
        let mut plan = Plan::new(self.first, commit, self.uncover);
        plan.staged = self.staged.iter().map(place).collect();
        plan.litter = self.litter.iter().map(place).collect();
        plan.barrier = barrier;
        Ok(plan)
    }
}

/// Whether old segments are in a directory of this name.
pub(super) fn is_kept_wal(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("wal.old-") || name.starts_with("wal.undone-")
}

pub(super) fn names(directory: &Path) -> Result<Vec<OsString>> {
    let failed = |e| Error::io("look into", directory, e);
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry.map_err(failed)?.file_name()))
            .collect(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(failed(e)),
    }
}
