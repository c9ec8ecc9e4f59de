//! Whom the new directories belong to.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Group, User};

use crate::io::{Ownership, directory_of};
use crate::{Error, ErrorKind, Result};

/// The user and the group that etcd runs as.
///
/// Where nothing is replaced and the data directory does not exist, what a restore makes belongs to whoever runs it, which on the
/// worst day is often root; an etcd of another user cannot open it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// By number.
    #[must_use]
    pub fn new(uid: u32, gid: u32) -> Self {
        Self { uid, gid }
    }

    /// `USER`, `USER:GROUP` or `:GROUP`, as `chown` takes them, by name or number. A user without a group brings the group that
    /// the user database gives it.
    ///
    /// # Errors
    /// `InvalidInput` where the machine does not know a name, or a number brings no group.
    pub fn parse(text: &str) -> Result<Self> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (text, None),
        };
        let (uid, own_group) = match user {
            "" if group.is_some() => (rustix::process::geteuid().as_raw(), None),
            "" => return Err(Error::invalid("the owner is empty: write USER:GROUP")),
            user => find_user(user)?,
        };
        let gid = match group {
            Some(group) => find_group(group)?,
            None => own_group.ok_or_else(|| {
                Error::invalid(format!(
                    "nobody on this machine has the user number {user}, so its group is unknown: write {user}:GROUP"
                ))
            })?,
        };
        Ok(Self { uid, gid })
    }

    /// The user's number.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group's number.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }
}

fn find_user(user: &str) -> Result<(u32, Option<u32>)> {
    let failed =
        |e: nix::errno::Errno| Error::io_of("ask who is the user", user, io::Error::from(e));
    if let Ok(uid) = user.parse::<u32>() {
        let known = User::from_uid(uid.into()).map_err(failed)?;
        return Ok((uid, known.map(|user| user.gid.as_raw())));
    }
    match User::from_name(user).map_err(failed)? {
        Some(user) => Ok((user.uid.as_raw(), Some(user.gid.as_raw()))),
        None => Err(Error::invalid(format!(
            "there is no user {user:?} on this machine: name another, or give numbers as in 1000:1000"
        ))),
    }
}

fn find_group(group: &str) -> Result<u32> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let found = Group::from_name(group)
        .map_err(|e| Error::io_of("ask which is the group", group, io::Error::from(e)))?;
    found.map(|group| group.gid.as_raw()).ok_or_else(|| {
        Error::invalid(format!(
            "there is no group {group:?} on this machine: name another, or give numbers as in 1000:1000"
        ))
    })
}

fn name_of(uid: u32) -> String {
    match User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

/// Whom a new tree shall belong to: the one that is asked for, or the one of what is there. Only root can give things away, so
/// that for others nothing changes.
pub(super) fn ownership(asked: Option<Owner>, like: Option<&Path>) -> Result<Ownership> {
    let mut ownership = match like {
        Some(like) => Ownership::of(like).map_err(|e| Error::io("look at", like, e))?,
        None => Ownership::default(),
    };
    if let Some(owner) = asked {
        ownership.uid = Some(owner.uid);
        ownership.gid = Some(owner.gid);
    } else if !rustix::process::geteuid().is_root() {
        ownership = Ownership::default();
    }
    Ok(ownership)
}

/// What could keep an etcd from opening a new tree. `place` is where the tree goes, `like` what is there already, if anything.
pub(super) fn doubts(ownership: &Ownership, place: &Path, like: Option<&Path>) -> Vec<String> {
    let mut doubts = Vec::new();
    let us = rustix::process::geteuid().as_raw();
    let owner = ownership.uid.unwrap_or(us);
    let parent = directory_of(place);
    // What stays tells best who will use it.
    let witness = like.unwrap_or(parent);
    if let Ok(there) = fs::metadata(witness)
        && there.uid() != owner
        && (like.is_some() || there.uid() != 0)
    {
        doubts.push(format!(
            "{} will belong to {}, and {} belongs to {}: if etcd runs as that user it cannot open it, so name the user with --owner",
            place.display(),
            name_of(owner),
            witness.display(),
            name_of(there.uid())
        ));
    }
    if owner != 0 {
        let gid = ownership
            .gid
            .unwrap_or_else(|| rustix::process::getegid().as_raw());
        for directory in parent.ancestors() {
            if let Ok(there) = fs::metadata(directory)
                && !may_pass(&there, owner, gid)
            {
                doubts.push(format!(
                    "{} cannot pass through {} (mode {:o}, of {}), so an etcd of that user will not reach {}",
                    name_of(owner),
                    directory.display(),
                    there.mode() & 0o7777,
                    name_of(there.uid()),
                    place.display()
                ));
            }
        }
    }
    let enforces =
        fs::read_to_string("/sys/fs/selinux/enforce").is_ok_and(|text| text.trim() == "1");
    if enforces && ownership.label.is_none() {
        doubts.push(format!(
            "SELinux is enforcing, and nothing tells which label {} should have: run `restorecon -R` on it",
            place.display()
        ));
    }
    doubts
}

/// By the mode alone: supplementary groups and access lists can allow more.
fn may_pass(directory: &fs::Metadata, uid: u32, gid: u32) -> bool {
    let bit = if directory.uid() == uid {
        0o100
    } else if directory.gid() == gid {
        0o010
    } else {
        0o001
    };
    directory.mode() & bit != 0
}

/// A directory in which something is made must let this process do so.
pub(super) fn require_writable(directory: &Path) -> Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    match accessat(CWD, directory, wanted, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(e) => {
            let e = io::Error::from(e);
            let why = match e.kind() {
                io::ErrorKind::ReadOnlyFilesystem => {
                    "it is on a filesystem that is mounted read-only"
                }
                io::ErrorKind::PermissionDenied => "this user may not",
                _ => return Err(Error::io("look at", directory, e)),
            };
            Err(Error::new(
                ErrorKind::AccessDenied,
                format!("cannot write to {}: {why}", directory.display()),
            )
            .with_path(directory)
            .with_source(e))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_or_numbered() {
        assert_eq!(
            Owner::parse("12345:54321").unwrap(),
            Owner::new(12345, 54321)
        );
        assert_eq!(Owner::parse("root").unwrap(), Owner::new(0, 0));
        assert_eq!(Owner::parse("root:12").unwrap(), Owner::new(0, 12));
        assert_eq!(Owner::parse("root:root").unwrap(), Owner::new(0, 0));
        let us = rustix::process::geteuid().as_raw();
        assert_eq!(Owner::parse(":7").unwrap(), Owner::new(us, 7));
        for wrong in [
            "",
            ":",
            "nobody-of-that-name",
            "0:no-such-group",
            "4294967290",
        ] {
            let error = Owner::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}: {error}");
        }
    }

    #[test]
    fn who_cannot_pass_is_told_by_the_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        let ownership = Ownership {
            uid: Some(12345),
            gid: Some(54321),
            label: None,
        };
        let said = |mode| {
            fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
            doubts(&ownership, &closed.join("data"), None)
                .iter()
                .any(|doubt| doubt.contains(&format!("pass through {} ", closed.display())))
        };
        assert!(said(0o700));
        assert!(said(0o770));
        assert!(!said(0o711));
    }
}
