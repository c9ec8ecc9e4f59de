//! What the members hold is what the snapshot holds.

use std::collections::BTreeSet;

use etcd_snap::{Cluster, NewMember, Revision};

use super::super::members::{Hash, Held, held, members};
use super::Run;
use crate::description::is_secured;
use crate::{Error, ErrorKind, Result};

/// A member that was asked.
struct Asked {
    name: String,
    endpoint: Option<String>,
    held: Held,
}

impl Run<'_> {
    /// The member of this node, and every other one that answers: the cluster, its members, and HashKV at the restored revision.
    pub(in super::super) fn prove(&mut self) -> Result<()> {
        let cluster = self.cluster()?;
        let at = self.recovery().revision;
        let asked = self.ask_all(&cluster, at)?;
        let expected = self.journal.facts.expected.clone();
        let expected = expected.map(|expected| Hash {
            hash: expected.hash,
            compact_revision: expected.compact_revision.map_or(-1, Revision::get),
        });
        let mut untold = Vec::new();
        for member in &asked {
            self.require_planned_cluster(member.held.cluster_id)?;
            if member.held.revision < at {
                return Err(unproven(format!(
                    "{} serves revision {}, and {at} was restored",
                    member.name, member.held.revision
                )));
            }
            match (&member.held.hash, &expected) {
                (Ok(found), Some(expected)) if found == expected => {}
                (Ok(found), Some(expected))
                    if found.compact_revision == expected.compact_revision =>
                {
                    return Err(unproven(format!(
                        "{} has the hash {} of its keys at revision {at}, and what was restored has {}",
                        member.name, found.hash, expected.hash
                    )));
                }
                (Ok(found), _) => untold.push(format!(
                    "{} is compacted at revision {}",
                    member.name, found.compact_revision
                )),
                (Err(why), _) => untold.push(format!("{}: {why}", member.name)),
            }
        }
        if untold.is_empty() {
            return Ok(());
        }
        self.require_agreement(&cluster, &asked, &untold)
    }

    /// Where the restored revision cannot be asked for any more, members are compared with each other.
    fn require_agreement(
        &mut self,
        cluster: &Cluster,
        asked: &[Asked],
        untold: &[String],
    ) -> Result<()> {
        let Some(at) = asked.iter().map(|member| member.held.revision).min() else {
            return Ok(());
        };
        let mut hashes: Vec<(&str, Hash)> = Vec::new();
        for member in asked {
            let held = held(cluster, member.endpoint.as_deref(), at)?;
            if let Ok(hash) = held.hash {
                let other = hashes
                    .iter()
                    .find(|(_, other)| other.compact_revision == hash.compact_revision);
                if let Some((name, other)) = other
                    && *other != hash
                {
                    return Err(unproven(format!(
                        "{name} and {} do not hold the same keys at revision {at}",
                        member.name
                    )));
                }
                hashes.push((&member.name, hash));
            }
        }
        let agree = match hashes.len() {
            0 | 1 => String::new(),
            n => format!("; {n} members agree at revision {at}"),
        };
        self.note(format!(
            "the hash of the restored revision can no longer be asked of every member ({}){agree}",
            untold.join("; ")
        ))
    }

    /// This node's member has to answer; of the others it is a note that one does not.
    fn ask_all(&mut self, cluster: &Cluster, at: Revision) -> Result<Vec<Asked>> {
        let own = self.recovery().member.clone();
        let known = members(cluster)?;
        let planned = self.recovery().restore.cluster()?;
        let planned: BTreeSet<u64> = planned
            .members()
            .iter()
            .map(NewMember::id)
            .map(|id| id.get())
            .collect();
        let own_id = self.recovery().restore.cluster()?.member(&own)?.id().get();
        let found: BTreeSet<u64> = known.iter().map(|member| member.id).collect();
        if found != planned {
            self.note(format!(
                "the cluster has {} members, and was restored with {}: members were added or removed since",
                found.len(),
                planned.len()
            ))?;
        }
        let mut asked = vec![Asked {
            name: own,
            endpoint: None,
            held: held(cluster, None, at)?,
        }];
        let secured = self
            .recovery()
            .etcd
            .endpoints()
            .first()
            .is_some_and(|url| is_secured(url));
        for member in known.into_iter().filter(|member| member.id != own_id) {
            let name = match member.name.as_str() {
                "" => format!("the member {:x}, which has not started,", member.id),
                name => name.to_owned(),
            };
            // No certificate is shown to, and no answer believed of, what is not secured where this member is.
            let mut urls = member.client_urls.into_iter();
            let Some(endpoint) = urls.find(|url| is_secured(url) || !secured) else {
                self.note(format!(
                    "{name} was not asked: it names no address for clients"
                ))?;
                continue;
            };
            match held(cluster, Some(&endpoint), at) {
                Ok(held) => asked.push(Asked {
                    name,
                    endpoint: Some(endpoint),
                    held,
                }),
                Err(e) => self.note(format!("{name} was not compared: {e}"))?,
            }
        }
        Ok(asked)
    }
}

fn unproven(sentence: String) -> Error {
    Error::new(ErrorKind::Unproven, sentence)
        .with_remedy("do not go on with this member before it is known why")
}
