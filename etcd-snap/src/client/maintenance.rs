//! The questions that a member is asked.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::ask::{Answer, Sizes};
use super::auth::{Login, User};
use super::counted::Counted;
use super::endpoint::Endpoint;
use super::explain;
use super::generated::etcdserverpb::auth_client::AuthClient;
use super::generated::etcdserverpb::maintenance_client::MaintenanceClient;
use super::generated::etcdserverpb::{
    HashKvRequest, HashKvResponse, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use crate::stream::{Arrivals, Chunk};
use crate::{ClusterId, Error, ErrorKind, MemberId, Result, Revision};

/// etcd sends 32 KiB at a time; proxies may gather them.
const LARGEST_MESSAGE: usize = 16 << 20;

/// A connection to one member, logged in where a user is given.
pub(crate) struct Member {
    channel: Channel,
    endpoint: String,
    user: Option<String>,
    token: Option<MetadataValue<Ascii>>,
    /// For each question that has a short answer.
    limit: Duration,
}

/// What a member says about itself (formats.md 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberStatus {
    pub(crate) cluster_id: ClusterId,
    pub(crate) member_id: MemberId,
    pub(crate) revision: Revision,
    /// Like `3.6.14`.
    pub(crate) version: String,
    /// Bytes of its database file; 0 where it does not say.
    pub(crate) database_bytes: u64,
    pub(crate) raft_term: u64,
    /// The last entry of the log that it has applied.
    pub(crate) applied_index: u64,
    pub(crate) is_learner: bool,
    pub(crate) has_leader: bool,
    pub(crate) is_leader: bool,
    /// Alarms and other complaints, as text.
    pub(crate) errors: Vec<String>,
}

/// The hash over a member's keys (formats.md 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KvHash {
    pub(crate) member_id: MemberId,
    pub(crate) hash: u32,
    /// The compaction that it takes for done; `None` in a store that was never compacted.
    pub(crate) compact_revision: Option<Revision>,
    /// The member's own revision when it answered.
    pub(crate) current: Revision,
}

/// Why a member gives no hash.
#[derive(Debug)]
pub(crate) enum NoHash {
    /// It has compacted the revision away.
    Compacted,
    /// It has not got to the revision yet.
    Future,
    /// A learner answers no such question.
    Learner,
    Failed(Error),
}

impl MemberStatus {
    /// Whether an alarm says that its data are corrupt: every member reports the alarms of all, like
    /// `memberID:10276657743932975437 alarm:CORRUPT`. One for nobody is one for everybody.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.errors.iter().any(|text| {
            let mut words = text.split_whitespace();
            let id = words
                .clone()
                .find_map(|word| word.strip_prefix("memberID:"));
            words.any(|word| word == "alarm:CORRUPT")
                && id.is_none_or(|id| id.parse() == Ok(self.member_id.get()))
        })
    }

    /// What a person who takes a backup of this member should hear.
    pub(crate) fn notes(&self, endpoint: &str) -> Vec<String> {
        let mut notes = vec![format!(
            "{endpoint} is member {} of cluster {}, etcd {}, at revision {}",
            self.member_id, self.cluster_id, self.version, self.revision
        )];
        if self.is_learner {
            notes.push(format!("{endpoint} is a learner: it may lag behind"));
        }
        if !self.has_leader {
            notes.push(format!(
                "{endpoint} knows no leader: its state may be older than the cluster's"
            ));
        }
        let complaints = self
            .errors
            .iter()
            .filter(|text| !text.contains("no leader"));
        notes.extend(complaints.map(|text| format!("{endpoint} reports: {}", text.trim())));
        notes
    }
}

impl Member {
    /// Logs in over a connection that stands, unless a token does for it.
    pub(crate) async fn log_in(
        channel: Channel,
        endpoint: &Endpoint,
        login: Option<&Login>,
        limit: Duration,
    ) -> Result<Self> {
        let mut member = Self {
            channel,
            endpoint: endpoint.to_string(),
            user: None,
            token: None,
            limit,
        };
        match login {
            None => {}
            Some(Login::User(user)) => {
                member.user = Some(user.name().to_owned());
                member.token = member.authenticate(user).await?;
            }
            Some(Login::Token(token)) => {
                let token = header(token.reveal()).ok_or_else(|| {
                    Error::invalid("the token has characters that cannot be sent: is it all of it, and nothing else?")
                })?;
                member.token = Some(token);
            }
        }
        Ok(member)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// No token where auth is not enabled: nobody needs one there.
    async fn authenticate(&self, user: &User) -> Result<Option<MetadataValue<Ascii>>> {
        const DOING: &str = "log in";
        let mut client = AuthClient::new(self.channel.clone());
        let request = Request::new(user.request());
        let token = match self.in_time(DOING, client.authenticate(request)).await? {
            Ok(answer) => answer.into_inner().token,
            Err(status) if status.message().ends_with("authentication is not enabled") => {
                return Ok(None);
            }
            Err(status) => return Err(self.refused(DOING, &status)),
        };
        let token = header(&token).ok_or_else(|| {
            Error::new(
                ErrorKind::Server,
                format!("{} gave a token that cannot be sent back", self.endpoint),
            )
            .with_endpoint(&*self.endpoint)
        })?;
        Ok(Some(token))
    }

    pub(crate) async fn status(&self) -> Result<MemberStatus> {
        let status = self
            .ask_status(self.limit, Sizes::USUAL)
            .await?
            .map_err(|status| self.refused("report its status", &status))?
            .message;
        let header = status.header.unwrap_or_default();
        Ok(MemberStatus {
            cluster_id: ClusterId::new(header.cluster_id),
            member_id: MemberId::new(header.member_id),
            revision: Revision::new(header.revision),
            version: status.version,
            database_bytes: u64::try_from(status.db_size).unwrap_or_default(),
            raft_term: status.raft_term,
            applied_index: status.raft_applied_index,
            is_learner: status.is_learner,
            has_leader: status.leader != 0,
            is_leader: status.leader != 0 && status.leader == header.member_id,
            errors: status.errors,
        })
    }

    pub(super) async fn ask_status(
        &self,
        limit: Duration,
        sizes: Sizes,
    ) -> Result<Result<Answer<StatusResponse>, Status>> {
        let path = "/etcdserverpb.Maintenance/Status";
        self.ask("report its status", path, StatusRequest {}, limit, sizes)
            .await
    }

    pub(super) async fn ask_for_hash(
        &self,
        revision: Option<Revision>,
        limit: Duration,
        sizes: Sizes,
    ) -> Result<Result<Answer<HashKvResponse>, Status>> {
        let question = HashKvRequest {
            revision: revision.map_or(0, Revision::get),
        };
        let path = "/etcdserverpb.Maintenance/HashKV";
        self.ask("hash its keys", path, question, limit, sizes)
            .await
    }

    /// Asks for the hash over its keys at a revision; at its current one, where none is given. The member reads all of its
    /// keys for it, for which it gets as long as `limit`.
    pub(crate) async fn hash_kv(
        &self,
        revision: Option<Revision>,
        limit: Duration,
    ) -> Result<KvHash, NoHash> {
        let answer = self
            .ask_for_hash(revision, limit, Sizes::USUAL)
            .await
            .map_err(NoHash::Failed)?;
        let answer = match answer {
            Ok(answer) => answer.message,
            Err(status) => {
                let ends = |end: &str| status.message().ends_with(end);
                return Err(if ends("required revision has been compacted") {
                    NoHash::Compacted
                } else if ends("required revision is a future revision") {
                    NoHash::Future
                } else if ends("rpc not supported for learner") {
                    NoHash::Learner
                } else {
                    NoHash::Failed(self.refused("hash its keys", &status))
                });
            }
        };
        let header = answer.header.unwrap_or_default();
        Ok(KvHash {
            member_id: MemberId::new(header.member_id),
            hash: answer.hash,
            // -1 until the first compaction.
            compact_revision: Some(Revision::new(answer.compact_revision))
                .filter(|revision| revision.get() > 0),
            current: Revision::new(header.revision),
        })
    }

    /// Opens the stream. Neither a deadline goes with it, which the server would keep in the middle of a long transfer,
    /// nor the wish for a leader: a member without one has a snapshot to give all the same.
    pub(crate) async fn snapshot(&self) -> Result<SnapshotStream> {
        const DOING: &str = "send a snapshot";
        let arrivals = Arrivals::new();
        let channel = Counted::new(self.channel.clone(), arrivals.clone());
        let mut client = MaintenanceClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE);
        let stream = self
            .in_time(DOING, client.snapshot(self.request(SnapshotRequest {})))
            .await?
            .map_err(|status| {
                explain::stream_status(&self.endpoint, self.user.as_deref(), &status)
            })?
            .into_inner();
        Ok(SnapshotStream {
            stream,
            arrivals,
            endpoint: self.endpoint.clone(),
            user: self.user.clone(),
        })
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    pub(super) fn refused(&self, doing: &str, status: &Status) -> Error {
        explain::status(&self.endpoint, self.user.as_deref(), doing, status)
    }

    pub(super) async fn in_time<T>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Result<Response<T>, Status>> {
        self.within(self.limit, doing, call).await
    }

    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        doing: &str,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Result<Response<T>, Status>> {
        tokio::time::timeout(limit, call).await.map_err(|_| {
            Error::new(
                ErrorKind::Stalled,
                format!(
                    "{} did not {doing} within {limit:?}, though it is connected",
                    self.endpoint
                ),
            )
            .with_endpoint(&*self.endpoint)
            .with_detail("code", "DeadlineExceeded")
        })
    }
}

fn header(token: &str) -> Option<MetadataValue<Ascii>> {
    let mut token = MetadataValue::try_from(token).ok()?;
    token.set_sensitive(true);
    Some(token)
}

/// The chunks of a snapshot, as they come.
pub(crate) struct SnapshotStream {
    stream: Streaming<SnapshotResponse>,
    arrivals: Arrivals,
    endpoint: String,
    user: Option<String>,
}

impl SnapshotStream {
    pub(crate) fn arrivals(&self) -> Option<Arrivals> {
        Some(self.arrivals.clone())
    }
}

impl Stream for SnapshotStream {
    type Item = Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.stream).poll_next(cx).map(|item| {
            item.map(|item| match item {
                Ok(message) => Ok(Chunk {
                    blob: message.blob,
                    remaining_bytes: message.remaining_bytes,
                    version: message.version,
                }),
                Err(status) => Err(explain::stream_status(
                    &self.endpoint,
                    self.user.as_deref(),
                    &status,
                )),
            })
        })
    }
}
