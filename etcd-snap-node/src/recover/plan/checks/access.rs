//! What has to be written, whether it can be, and whom the data belongs to.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags};

use super::Planned;
use crate::recover::plan::place::{nearest, refused_swap};
use crate::recover::{RecoveryTarget, StopBy};
use crate::users::{owner_differs, user_of};
use crate::{Etcd, Finding, Root, disk, links};

pub(super) fn look(planned: &Planned<'_>) -> Vec<Finding> {
    let root = &planned.options.root;
    let mut findings = unmounted(planned);
    for directory in written(planned) {
        findings.extend(unwritable(&directory, &root.open_as(&directory)));
    }
    let is_unit = matches!(planned.stop, StopBy::Unit { .. });
    if is_unit && root.is_this_machine() && !rustix::process::geteuid().is_root() {
        findings.push(
            Finding::error("not-permitted", "only root may stop and start services")
                .with_remedy("run this as root"),
        );
    }
    // In place the directory itself stays, so that etcd has to be able to open it.
    if let RecoveryTarget::InPlace { .. } = planned.target {
        findings.extend(owner_differs(root, planned.etcd));
    }
    findings.extend(unswappable(planned.target, root));
    findings.extend(label(planned.etcd, planned.target, root));
    findings
}

/// Where the member goes must not be made on another disk than the one that is meant.
fn unmounted(planned: &Planned<'_>) -> Vec<Finding> {
    let (data_dir, wal_dir) = match planned.target {
        RecoveryTarget::InPlace {
            data_dir, wal_dir, ..
        } => (data_dir, wal_dir.as_deref()),
        RecoveryTarget::NewDataDir { data_dir } => (data_dir, None),
    };
    links::broken_of(&planned.options.root, data_dir, wal_dir)
}

/// The directories that something is made or renamed in, or those above that are there already.
fn written(planned: &Planned<'_>) -> Vec<PathBuf> {
    let mut wanted = Vec::new();
    match planned.target {
        RecoveryTarget::InPlace {
            data_dir, wal_dir, ..
        } => {
            wanted.push(data_dir.clone());
            wanted.extend(wal_dir.clone());
        }
        RecoveryTarget::NewDataDir { data_dir } => wanted.push(data_dir.clone()),
    }
    if let StopBy::Manifests {
        directory, aside, ..
    } = planned.stop
    {
        wanted.push(directory.clone());
        wanted.push(aside.clone());
    }
    let changed = planned.changes.iter().filter_map(|it| it.path.parent());
    wanted.extend(changed.map(Path::to_owned));
    wanted.push(planned.options.state_directory.clone());
    let mut there: Vec<_> = wanted
        .iter()
        .map(|path| nearest(path, &planned.options.root))
        .collect();
    there.sort();
    there.dedup();
    there
}

fn unwritable(directory: &Path, on_disk: &Path) -> Option<Finding> {
    let is_read_only =
        rustix::fs::statvfs(on_disk).is_ok_and(|it| it.f_flag.contains(StatVfsMountFlags::RDONLY));
    if is_read_only {
        return Some(
            Finding::error(
                "filesystem-read-only",
                format!(
                    "{} is on a filesystem that is mounted read-only",
                    directory.display()
                ),
            )
            .with_remedy("see what the kernel says of it (`dmesg`): a damaged disk is often mounted so; then mount it for writing")
            .at(directory),
        );
    }
    let asked = rustix::fs::accessat(
        CWD,
        on_disk,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    );
    let e = asked.err()?;
    Some(
        Finding::error(
            "not-permitted",
            format!("nothing may be written into {}: {e}", directory.display()),
        )
        .with_remedy("run this as root")
        .at(directory),
    )
}

/// A member that cannot take the place of the old one would fail only when etcd is stopped, and again with each `--resume`.
fn unswappable(target: &RecoveryTarget, root: &Root) -> Option<Finding> {
    let RecoveryTarget::InPlace {
        data_dir, wal_dir, ..
    } = target
    else {
        return None;
    };
    // A directory that may not be written into is a finding of its own.
    let refused = refused_swap(target, root)
        .filter(|refused| refused.kind() != etcd_snap::ErrorKind::AccessDenied)?;
    let remedy = match wal_dir {
        None => {
            "--new-data-dir makes the member in another directory; to swap it in place, let `member` and `snap` in it be plain directories \
             on the filesystem of the data directory"
        }
        Some(_) => {
            "let `member` and `snap` in it be plain directories on the filesystem of the data directory, and the WAL be in a directory right \
             in `member`, or outside of it"
        }
    };
    Some(
        Finding::error(
            "swap-impossible",
            format!("the new member could not take the place of the old one: {refused}"),
        )
        .with_remedy(remedy)
        .at(data_dir),
    )
}

/// Whom the new member has to belong to; `None` where the data that it replaces tells, and is right.
pub(in crate::recover::plan) fn owner(
    etcd: &Etcd,
    target: &RecoveryTarget,
    root: &Root,
) -> Option<String> {
    let there = data(etcd, root);
    let (uid, gid) = match (user_of(root, etcd), &there) {
        (Some(user), Some(there)) if user.0 == there.uid() => (there.uid(), there.gid()),
        (Some(user), _) => user,
        (None, Some(there)) => (there.uid(), there.gid()),
        (None, None) => return None,
    };
    let told_by_data = there.is_some_and(|it| (it.uid(), it.gid()) == (uid, gid));
    let in_place = matches!(target, RecoveryTarget::InPlace { .. });
    (!(in_place && told_by_data)).then(|| format!("{uid}:{gid}"))
}

/// Of the member that is there, or of the directory for it.
fn data(etcd: &Etcd, root: &Root) -> Option<Metadata> {
    let data_dir = etcd.data_dir.host.as_ref()?;
    let known = [data_dir.join("member"), data_dir.clone()];
    known
        .iter()
        .find_map(|path| fs::metadata(root.open_as(path)).ok())
}

/// D16: a new directory gets the label of the old one.
fn label(etcd: &Etcd, target: &RecoveryTarget, root: &Root) -> Option<Finding> {
    let data_dir = etcd.data_dir.host.as_ref()?;
    let label = disk::label(&root.open_as(data_dir))?;
    let label = String::from_utf8_lossy(&label);
    let label = label.trim_end_matches('\0');
    let RecoveryTarget::NewDataDir { data_dir: new } = target else {
        return Some(
            Finding::note(
                "selinux-label",
                format!(
                    "{} has the SELinux label {label}, and the new member gets it too",
                    data_dir.display()
                ),
            )
            .at(data_dir),
        );
    };
    Some(
        Finding::note(
            "selinux-label",
            format!(
                "{} has the SELinux label {label}, and {} gets it too; a relabelling of the machine takes it away again",
                data_dir.display(),
                new.display()
            ),
        )
        .with_remedy(format!(
            "`semanage fcontext -a -e {} {}` makes it stay",
            data_dir.display(),
            new.display()
        ))
        .at(new),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    const DIRECTORY: &str = "ETCD_SNAP_TEST_DIRECTORY";
    const NOBODY: u32 = 65_534;

    /// Started again as another user by the test below.
    #[test]
    #[ignore = "a part of another test"]
    fn as_somebody_else() {
        let Some(directory) = std::env::var_os(DIRECTORY) else {
            return;
        };
        let known_as = Path::new("/var/lib/etcd");
        let finding = unwritable(known_as, Path::new(&directory)).unwrap();
        assert_eq!(finding.code, "not-permitted");
        assert_eq!(finding.path.as_deref(), Some(known_as));
        assert!(finding.message.contains("/var/lib/etcd"));
        println!("it was told");
    }

    #[test]
    fn a_directory_that_may_not_be_written_into_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unwritable(folder.path(), folder.path()), None);
        // Others may not be let into the directory that this was built in.
        let open = tempfile::tempdir().unwrap();
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = open.path().join("tests");
        let own = std::env::current_exe().unwrap();
        etcd_snap_testdata::copy_program(&own, &program).unwrap();
        let mut command = Command::new(program);
        command
            .args(["recover::plan::checks::access::tests::as_somebody_else"])
            .args(["--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, folder.path());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        } else {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
        }
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(
            ended.status.success() && said.contains("it was told"),
            "{said}"
        );
    }
}
