//! The user that etcd runs as, and whether the data is its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Etcd, Finding, Root, RunBy};

/// The numbers of etcd's user and group: those of the pod, or those of the unit by the machine's own list, which a copied tree has too. `None`
/// for root, and where nothing tells.
pub(crate) fn user_of(root: &Root, etcd: &Etcd) -> Option<(u32, u32)> {
    let user = match &etcd.run_by {
        RunBy::StaticPod {
            run_as_user,
            run_as_group,
            ..
        } => {
            // Without a group it is that of the user in the image: root's for a number that the image does not know.
            return run_as_user.map(|user| (user, run_as_group.unwrap_or(0)));
        }
        RunBy::Systemd { user, .. } => user.as_ref()?,
        _ => return None,
    };
    let users = root.read_text(Path::new("/etc/passwd")).ok()?;
    users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else {
            return None;
        };
        let is_meant = name == user || uid == user;
        is_meant.then(|| Some((uid.parse().ok()?, gid.parse().ok()?)))?
    })
}

/// D11: data that etcd may not open. Root may open all.
pub(crate) fn owner_differs(root: &Root, etcd: &Etcd) -> Option<Finding> {
    let data_dir = etcd.data_dir.host.as_ref()?;
    let (uid, gid) = user_of(root, etcd)?;
    let found = fs::metadata(root.open_as(data_dir)).ok()?.uid();
    (uid != found && uid != 0).then(|| {
        Finding::error(
            "owner-differs",
            format!(
                "{} belongs to the user {found}, and etcd runs as the user {uid}, who cannot open it",
                data_dir.display()
            ),
        )
        .with_remedy(format!("chown -R {uid}:{gid} {}", data_dir.display()))
        .at(data_dir)
    })
}
