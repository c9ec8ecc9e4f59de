//! Who else belongs to the cluster.

use std::time::Duration;

use tonic::Status;

use super::ask::{Answer, Sizes};
use super::generated::etcdserverpb::{MemberListRequest, MemberListResponse};
use super::maintenance::Member;
use crate::{MemberId, Result};

/// A member, as another one knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedMember {
    pub(crate) id: MemberId,
    /// Empty while the member has not started.
    pub(crate) name: String,
    pub(crate) client_urls: Vec<String>,
}

impl Member {
    /// The members that it knows of: its own view, for which it needs no quorum.
    pub(crate) async fn list(&self) -> Result<Vec<ListedMember>> {
        let answer = self
            .ask_for_members(false, self.limit(), Sizes::USUAL)
            .await?
            .map_err(|status| self.refused("list the members", &status))?;
        let members = answer.message.members.into_iter();
        Ok(members
            .map(|member| ListedMember {
                id: MemberId::new(member.id),
                name: member.name,
                client_urls: member.client_urls,
            })
            .collect())
    }

    pub(super) async fn ask_for_members(
        &self,
        linearizable: bool,
        limit: Duration,
        sizes: Sizes,
    ) -> Result<Result<Answer<MemberListResponse>, Status>> {
        let question = MemberListRequest { linearizable };
        let path = "/etcdserverpb.Cluster/MemberList";
        self.ask("list the members", path, question, limit, sizes)
            .await
    }
}
