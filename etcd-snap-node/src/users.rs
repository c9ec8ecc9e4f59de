//! The user that etcd runs as, and whether the data is its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Etcd, Finding, Root, RunBy};

/// The numbers of the unit's user and its group, by the machine's own list, which a copied tree has too; `None` for root, and
/// where nothing tells.
pub(crate) fn user_of(root: &Root, etcd: &Etcd) -> Option<(u32, u32)> {
    let RunBy::Systemd {
        user: Some(user), ..
    } = &etcd.run_by
    else {
        return None;
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
