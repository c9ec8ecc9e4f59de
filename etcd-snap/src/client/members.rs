//! Who else belongs to the cluster.

use super::generated::etcdserverpb::MemberListRequest;
use super::generated::etcdserverpb::cluster_client::ClusterClient;
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
        const DOING: &str = "list the members";
        let request = self.request(MemberListRequest {
            linearizable: false,
        });
        let mut client = ClusterClient::new(self.channel());
        let answer = self
            .in_time(DOING, client.member_list(request))
            .await?
            .map_err(|status| self.refused(DOING, &status))?;
        let members = answer.into_inner().members.into_iter();
        Ok(members
            .map(|member| ListedMember {
                id: MemberId::new(member.id),
                name: member.name,
                client_urls: member.client_urls,
            })
            .collect())
    }
}
