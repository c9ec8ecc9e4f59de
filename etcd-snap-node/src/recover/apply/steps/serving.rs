//! The member serves, or waits for others.

use std::time::Instant;

use super::super::members::Answer;
use super::super::run::Ended;
use super::Run;
use super::stopped::listens;
use crate::recover::StopBy;
use crate::{Error, ErrorKind, Result};

impl Run<'_> {
    /// Waits until the member serves the restored revision; ends as waiting where it listens and has no leader, as a member without
    /// a majority has not.
    pub(in super::super) fn wait_until_serving(&mut self) -> Result<Ended> {
        let until = Instant::now() + self.options.start_timeout;
        let is_alone = self.recovery().restore.members.len() == 1;
        let mut without_leader: Option<Instant> = None;
        loop {
            let last = match self.ask()? {
                Answer::Serves(status) => {
                    let header = status.header.unwrap_or_default();
                    self.require_planned_cluster(header.cluster_id)?;
                    let wanted = self.recovery().revision;
                    if header.revision >= wanted.get() {
                        return Ok(Ended::Done);
                    }
                    format!(
                        "it serves revision {}, and {wanted} is wanted",
                        header.revision
                    )
                }
                Answer::NoLeader(why) => {
                    let since = *without_leader.get_or_insert_with(Instant::now);
                    if !is_alone
                        && (since.elapsed() >= self.options.quorum_patience
                            || Instant::now() > until)
                    {
                        return Ok(Ended::Waiting(self.missing()?));
                    }
                    format!("it listens, and has no leader: {why}")
                }
                Answer::Closed(why) => {
                    without_leader = None;
                    why
                }
            };
            if Instant::now() > until {
                return Err(self.stays_away(&last));
            }
            self.pause(&format!("etcd does not serve yet: {last}"))?;
        }
    }

    /// An etcd of another cluster runs from other data than what was restored.
    pub(in super::super) fn require_planned_cluster(&self, found: u64) -> Result<()> {
        let planned = self.recovery().restore.cluster()?.id();
        if planned.get() == found {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unproven,
            format!(
                "what answers is a member of the cluster {found:x}, and the restored one is {planned}: etcd was started from other data \
                 than what was restored"
            ),
        )
        .with_remedy(
            "look which data directory it uses: `etcd-snap discover` shows what configures it",
        ))
    }

    /// How many members a majority lacks, as far as their ports tell.
    fn missing(&self) -> Result<usize> {
        let cluster = self.recovery().restore.cluster()?;
        let members = cluster.members();
        let others = members
            .iter()
            .filter(|member| member.name() != self.recovery().member);
        let there = others
            .filter(|member| member.peer_urls().iter().any(|url| listens(url.as_str())))
            .count();
        let majority = members.len() / 2 + 1;
        Ok(majority.saturating_sub(there + 1).max(1))
    }

    fn stays_away(&self, last: &str) -> Error {
        let limit = humantime::format_duration(self.options.start_timeout);
        let look = match &self.recovery().stop {
            StopBy::Manifests { .. } => {
                "look whether kubelet runs (`systemctl status kubelet`) and what etcd says (`crictl ps -a`, `crictl logs`)".to_owned()
            }
            StopBy::Unit { unit } => format!("look what etcd says: `journalctl -u {unit}`"),
        };
        Error::new(
            ErrorKind::Late,
            format!("etcd does not serve within {limit}: {last}"),
        )
        .with_remedy(look)
    }
}
