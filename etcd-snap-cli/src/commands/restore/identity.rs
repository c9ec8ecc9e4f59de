//! Who the member of this machine is: what nobody said is taken from there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use etcd_snap::{Snapshot, snapshot_members};
use etcd_snap_node::Etcd;

use super::arguments::Arguments;
use crate::failure::{Failure, Result};
use crate::journal;
use crate::on_node::Found;
use crate::render::text;

impl Arguments {
    /// The same with what was found of this machine's etcd, where that was asked for and nobody said otherwise. A plan says itself who
    /// is in the cluster.
    pub(super) fn filled(&self, snapshot: &Snapshot, is_planned: bool) -> Result<Self> {
        let mut filled = self.clone();
        let Some(found) = self.on_node.find(self.etcd.as_deref())? else {
            return Ok(filled);
        };
        let etcd = &found.etcd;
        let mut said = Vec::new();
        self.require_known(etcd, is_planned)?;
        fill("--name", &mut filled.name, &mut said, || {
            Some(etcd.name.clone())
        });
        if !is_planned {
            fill(
                "--initial-cluster",
                &mut filled.initial_cluster,
                &mut said,
                || initial_cluster(etcd),
            );
            fill(
                "--initial-advertise-peer-urls",
                &mut filled.initial_advertise_peer_urls,
                &mut said,
                || joined(&etcd.initial_advertise_peer_urls),
            );
        }
        fill_places(&mut filled, &found, &mut said)?;
        fill("--owner", &mut filled.owner, &mut said, || owner(etcd));
        journal::note(&format!(
            "found {}: {}",
            text::visible(&etcd.title()),
            text::visible(&said.join(" "))
        ));
        if self.initial_cluster.is_none() && !is_planned {
            warn_of_others(etcd, snapshot)?;
        }
        Ok(filled)
    }

    /// Where a shell puts something in the place of what the machine has written, that is no name and no address.
    fn require_known(&self, etcd: &Etcd, is_planned: bool) -> Result<()> {
        if etcd.is_guessed() && self.name.is_none() {
            return Err(Failure::Usage(format!(
                "what {} is started with is not known here, as a shell decides about it; say --name, and what else is not etcd's default",
                etcd.title()
            )));
        }
        let founded = etcd.settings.get("initial-cluster");
        let founded = founded.map(|setting| setting.value.clone());
        let settings = [
            ("--name", &self.name, Some(etcd.name.clone())),
            (
                "--initial-advertise-peer-urls",
                &self.initial_advertise_peer_urls,
                joined(&etcd.initial_advertise_peer_urls).filter(|_| !is_planned),
            ),
            (
                "--initial-cluster",
                &self.initial_cluster,
                founded.filter(|_| !is_planned),
            ),
        ];
        for (flag, given, found) in settings {
            let unknown = found.filter(|it| given.is_none() && it.contains(['$', '`']));
            if let Some(unknown) = unknown {
                return Err(Failure::Usage(format!(
                    "{} is started with {flag} {unknown}, which is not known here, as a shell decides about it; say it with {flag}",
                    etcd.title()
                )));
            }
        }
        Ok(())
    }
}

fn fill(
    flag: &str,
    value: &mut Option<String>,
    said: &mut Vec<String>,
    found: impl FnOnce() -> Option<String>,
) {
    if value.is_none() {
        *value = found();
        if let Some(value) = value {
            said.push(format!("{flag} {value}"));
        }
    }
}

/// Data that goes elsewhere has its WAL with it: the WAL of this machine stays as it is.
fn fill_places(filled: &mut Arguments, found: &Found, said: &mut Vec<String>) -> Result<()> {
    if filled.data_dir.is_some() {
        return Ok(());
    }
    let target = found.etcd.target(&found.root)?;
    let mut take = |flag: &str, place: &mut Option<PathBuf>, found: PathBuf| {
        said.push(format!("{flag} {}", found.display()));
        *place = Some(found);
    };
    take(
        "--data-dir",
        &mut filled.data_dir,
        target.data_dir().to_owned(),
    );
    if let (None, Some(wal_dir)) = (&filled.wal_dir, target.wal_dir()) {
        take("--wal-dir", &mut filled.wal_dir, wal_dir.to_owned());
    }
    Ok(())
}

fn initial_cluster(etcd: &Etcd) -> Option<String> {
    Some(etcd.initial_cluster_list()).filter(|list| !list.is_empty())
}

fn joined(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(","))
}

fn owner(etcd: &Etcd) -> Option<String> {
    let data = etcd.data.as_ref()?;
    Some(format!("{}:{}", data.uid?, data.gid?))
}

/// kubeadm writes down who was there when a member came, and of the first one that is itself alone.
fn warn_of_others(etcd: &Etcd, snapshot: &Snapshot) -> Result<()> {
    let founded: BTreeSet<_> = etcd.initial_cluster.iter().map(|it| &it.name).collect();
    let known = snapshot_members(snapshot)?.len();
    if founded.len() == 1 && known > 1 {
        journal::warning(&format!(
            "the snapshot has {known} members, and this machine was told of itself alone: what is made is a cluster of one. \
             `etcd-snap recover` brings all of them back; or name them with --initial-cluster"
        ));
    }
    Ok(())
}
