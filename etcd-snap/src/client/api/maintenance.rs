//! What a member says of itself and of the others.

use prost::Message;

use super::messages::{
    AlarmRequest, AlarmResponse, AlarmType, DefragmentResponse, HashKvResponse, MemberListResponse,
    StatusResponse,
};
use super::{Answer, Client};
use crate::client::generated::etcdserverpb::DefragmentRequest;
use crate::client::generated::etcdserverpb::alarm_request::AlarmAction;
use crate::{MemberId, Result, Revision};

const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";
const DISARMING: &str = "disarm an alarm";

impl Client {
    /// What the member knows about itself.
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn status(&self) -> Result<Answer<StatusResponse>> {
        let asked = self.member.ask_status(self.timeout, self.sizes).await;
        asked?.map_err(|status| self.member.refused("report its status", &status))
    }

    /// The members of the cluster; `linearizable` as all of them agree, for which it takes a quorum, or else as this one
    /// knows them. Servers before etcd 3.5 give their own view always.
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn member_list(&self, linearizable: bool) -> Result<Answer<MemberListResponse>> {
        let asked = self
            .member
            .ask_for_members(linearizable, self.timeout, self.sizes);
        asked
            .await?
            .map_err(|status| self.member.refused("list the members", &status))
    }

    /// The alarms of all members.
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn alarms(&self) -> Result<Answer<AlarmResponse>> {
        let everyone = MemberId::new(0);
        self.alarm(
            "list the alarms",
            AlarmAction::Get,
            everyone,
            AlarmType::None,
        )
        .await
    }

    /// Takes one alarm of one member back. The answer has it, if it was raised.
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn disarm(
        &self,
        member: MemberId,
        alarm: AlarmType,
    ) -> Result<Answer<AlarmResponse>> {
        self.alarm(DISARMING, AlarmAction::Deactivate, member, alarm)
            .await
    }

    /// Takes all alarms back, one after the other. What was taken back is put together to one answer, which has no header.
    ///
    /// # Errors
    /// Those of every question, see [`Client`]; alarms may have been taken back then.
    pub async fn disarm_all(&self) -> Result<Answer<AlarmResponse>> {
        let mut disarmed = AlarmResponse::default();
        for alarm in self.alarms().await?.message.alarms {
            let question = AlarmRequest {
                action: AlarmAction::Deactivate.into(),
                member_id: alarm.member_id,
                // Also one that we do not know.
                alarm: alarm.alarm,
            };
            let answer: Answer<AlarmResponse> = self.ask(DISARMING, ALARM, question).await?;
            disarmed.alarms.extend(answer.message.alarms);
        }
        let bytes = disarmed.encode_to_vec();
        Ok(Answer::new(disarmed, bytes))
    }

    async fn alarm(
        &self,
        doing: &str,
        action: AlarmAction,
        member: MemberId,
        alarm: AlarmType,
    ) -> Result<Answer<AlarmResponse>> {
        let question = AlarmRequest {
            action: action.into(),
            member_id: member.get(),
            alarm: alarm.into(),
        };
        self.ask(doing, ALARM, question).await
    }

    /// Has the member write its database anew without free pages. It answers nothing else meanwhile, which takes as long as
    /// reading and writing what is in use: give it [the time](Self::with_timeout).
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn defragment(&self) -> Result<Answer<DefragmentResponse>> {
        self.ask(
            "defragment its database",
            "/etcdserverpb.Maintenance/Defragment",
            DefragmentRequest {},
        )
        .await
    }

    /// The hash over the member's keys at a revision, and at its current one where none is given. The member reads all of its
    /// keys for it: give it [the time](Self::with_timeout).
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn hash_kv(&self, revision: Option<Revision>) -> Result<Answer<HashKvResponse>> {
        let asked = self
            .member
            .ask_for_hash(revision, self.timeout, self.sizes)
            .await;
        asked?.map_err(|status| self.member.refused("hash its keys", &status))
    }
}
