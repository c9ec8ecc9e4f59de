//! The services, as far as a save asks for them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::members::{Hash, in_the_future};
use super::stream::{Step, steps};
use super::{Auth, Server};
use crate::generated::etcdserverpb::auth_server::Auth as AuthService;
use crate::generated::etcdserverpb::cluster_server::Cluster;
use crate::generated::etcdserverpb::maintenance_server::Maintenance;
use crate::generated::etcdserverpb::{
    AlarmRequest, AlarmResponse, AuthenticateRequest, AuthenticateResponse, DefragmentRequest,
    DefragmentResponse, HashKvRequest, HashKvResponse, Member, MemberListRequest,
    MemberListResponse, ResponseHeader, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse,
};

#[derive(Clone)]
pub(super) struct Etcd {
    server: Arc<Server>,
    hang_up: Arc<Notify>,
}

impl Etcd {
    pub(super) fn new(server: Arc<Server>, hang_up: Arc<Notify>) -> Self {
        Self { server, hang_up }
    }

    /// `root_only`: as Snapshot is everywhere, and Status on 3.4.
    fn let_in<T>(&self, request: &Request<T>, root_only: bool) -> Result<(), Status> {
        let Some(auth) = &self.server.auth else {
            return Ok(());
        };
        match request.metadata().get("token") {
            None if auth.modern => Err(Status::invalid_argument("etcdserver: user name is empty")),
            None => Err(Status::unknown("auth: user name is empty")),
            Some(token) if *token != *self.server.token && auth.modern => {
                Err(Status::unauthenticated("etcdserver: invalid auth token"))
            }
            Some(token) if *token != *self.server.token => {
                Err(Status::unknown("auth: invalid auth token"))
            }
            Some(_) if root_only && !auth.is_root && auth.modern => {
                Err(Status::permission_denied("etcdserver: permission denied"))
            }
            Some(_) if root_only && !auth.is_root => {
                Err(Status::unknown("auth: permission denied"))
            }
            Some(_) => Ok(()),
        }
    }

    fn header(&self) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.server.cluster_id,
            member_id: self.server.member_id,
            revision: self.server.revision,
            raft_term: 2,
        }
    }
}

#[tonic::async_trait]
impl Maintenance for Etcd {
    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        self.let_in(&request, false)?;
        Ok(Response::new(AlarmResponse {
            header: Some(self.header()),
            alarms: Vec::new(),
        }))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        self.let_in(&request, self.server.version.starts_with("3.4."))?;
        let health = &self.server.health;
        if health.silent {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(StatusResponse {
            header: Some(self.header()),
            version: self.server.version.clone(),
            leader: health.leader,
            is_learner: health.is_learner,
            raft_term: health.raft_term,
            raft_index: health.applied_index,
            raft_applied_index: health.applied_index,
            db_size: health.database_bytes,
            errors: health.errors.clone(),
            ..StatusResponse::default()
        }))
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Err(Status::unimplemented("a fake server has no file"))
    }

    async fn hash_kv(
        &self,
        request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        self.let_in(&request, true)?;
        let revision = request.get_ref().revision;
        if self.server.hashes.is_empty() {
            return Err(Status::unimplemented("a fake has no keys"));
        }
        let mut answers = self.server.hashes.iter();
        let answer = answers
            .find(|answer| answer.revision == revision)
            .ok_or_else(in_the_future)?;
        let (member_id, hash, compact_revision) = match answer.hash {
            Hash::Is(hash, compact_revision) => (self.server.member_id, hash, compact_revision),
            Hash::Of(member_id, hash, compact_revision) => (member_id, hash, compact_revision),
            Hash::Error(code, ref message) => return Err(Status::new(code, message)),
            Hash::Silence => std::future::pending().await,
        };
        Ok(Response::new(HashKvResponse {
            header: Some(ResponseHeader {
                member_id,
                ..self.header()
            }),
            hash,
            compact_revision,
            hash_revision: revision,
        }))
    }

    type SnapshotStream = Steps;

    async fn snapshot(&self, request: Request<SnapshotRequest>) -> Result<Response<Steps>, Status> {
        self.let_in(&request, true)?;
        Ok(Response::new(Steps {
            steps: Box::new(steps(&self.server)),
            repeated: None,
            silent: false,
            hang_up: Arc::clone(&self.hang_up),
        }))
    }
}

#[tonic::async_trait]
impl Cluster for Etcd {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        self.let_in(&request, false)?;
        let listed = self.server.members.lock().expect("nobody panics with it");
        let mut members: Vec<_> = listed
            .iter()
            .map(|member| Member {
                id: member.id,
                name: member.name.clone(),
                client_urls: member.client_urls.clone(),
                ..Member::default()
            })
            .collect();
        if members.is_empty() {
            members.push(Member {
                id: self.server.member_id,
                name: "fake".to_owned(),
                ..Member::default()
            });
        }
        Ok(Response::new(MemberListResponse {
            header: Some(self.header()),
            members,
        }))
    }
}

#[tonic::async_trait]
impl AuthService for Etcd {
    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let request = request.into_inner();
        match &self.server.auth {
            None => Err(Status::failed_precondition(
                "etcdserver: authentication is not enabled",
            )),
            Some(Auth { user, password, .. })
                if (user, password) == (&request.name, &request.password) =>
            {
                Ok(Response::new(AuthenticateResponse {
                    header: Some(self.header()),
                    token: self.server.token.clone(),
                }))
            }
            Some(_) => Err(Status::invalid_argument(
                "etcdserver: authentication failed, invalid user ID or password",
            )),
        }
    }
}

/// Carries out what was planned, one step a message.
pub(super) struct Steps {
    steps: Box<dyn Iterator<Item = Step> + Send>,
    repeated: Option<SnapshotResponse>,
    silent: bool,
    hang_up: Arc<Notify>,
}

impl Stream for Steps {
    type Item = Result<SnapshotResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.silent {
            return Poll::Pending;
        }
        if let Some(message) = &self.repeated {
            return Poll::Ready(Some(Ok(message.clone())));
        }
        match self.steps.next() {
            None => Poll::Ready(None),
            Some(Step::Message(message)) => Poll::Ready(Some(Ok(message))),
            Some(Step::Error(status)) => Poll::Ready(Some(Err(status))),
            Some(Step::Repeat(message)) => {
                self.repeated = Some(message.clone());
                Poll::Ready(Some(Ok(message)))
            }
            Some(Step::Silence) => {
                self.silent = true;
                Poll::Pending
            }
            Some(Step::HangUp) => {
                self.silent = true;
                self.hang_up.notify_one();
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateRequest")
            .field("name", &self.name)
            .field("password", &"[redacted]")
            .finish()
    }
}

impl fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateResponse")
            .field("header", &self.header)
            .field("token", &"[redacted]")
            .finish()
    }
}
