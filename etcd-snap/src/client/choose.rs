//! Which member to take the snapshot from, and which one next if that fails.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cluster::Cluster;
use super::connect::connect;
use super::endpoint::Endpoint;
use super::fitness::{self, Answer, Rank, Verdict};
use super::maintenance::{Member, MemberStatus};
use super::tls::Tls;
use crate::stream::{EndpointPolicy, PassedOver, PassedOverReason};
use crate::{ClusterId, Error, ErrorKind, Result};

/// The endpoints that can give the snapshot, best first, and what is known of the others.
pub(crate) struct Candidates {
    cluster: Arc<Cluster>,
    policy: EndpointPolicy,
    /// The cluster that was found; `First` takes any.
    cluster_id: Option<ClusterId>,
    left: VecDeque<Candidate>,
    /// There are only members left that know no leader.
    last_resort: bool,
    /// In the order in which that became known.
    passed_over: Vec<(PassedOver, Error)>,
    /// How many of them were told of.
    told: usize,
}

struct Candidate {
    endpoint: Endpoint,
    status: Option<MemberStatus>,
    /// Kept only of the best: the others' would lie idle for as long as a transfer takes.
    member: Option<Member>,
}

impl Candidates {
    /// Asks as many endpoints as the policy takes to know who is the best.
    ///
    /// # Errors
    /// None is fit.
    pub(crate) async fn find(cluster: &Cluster, policy: EndpointPolicy) -> Result<Self> {
        let mut found = Self {
            cluster: Arc::new(cluster.clone()),
            policy,
            cluster_id: None,
            left: VecDeque::new(),
            last_resort: false,
            passed_over: Vec::new(),
            told: 0,
        };
        let alone = cluster.endpoints().len() == 1;
        if policy == EndpointPolicy::First || (alone && policy == EndpointPolicy::Auto) {
            let endpoints = cluster.endpoints().iter().cloned();
            found.left.extend(endpoints.map(Candidate::unasked));
            found.policy = EndpointPolicy::First;
            return Ok(found);
        }
        let answers = fitness::ask_all(&found.cluster, policy).await?;
        found.sort(answers)?;
        Ok(found)
    }

    fn sort(&mut self, answers: Vec<Answer>) -> Result<()> {
        self.cluster_id = fitness::cluster_of(&answers);
        let verdicts = fitness::judge(&answers, self.cluster_id, self.policy);
        let mut fit = Vec::new();
        let mut leaderless = Vec::new();
        let mut denied = None;
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            match (answer.came, verdict) {
                (Some(Ok((member, status))), Verdict::Fit(rank)) => {
                    fit.push((rank, answer.endpoint, member, status));
                }
                (Some(Err(error)), Verdict::Unfit(reason, _)) => {
                    if reason == PassedOverReason::Denied && denied.is_none() {
                        denied = Some(self.passed_over.len());
                    }
                    self.pass_over(&answer.endpoint, None, reason, error);
                }
                (
                    Some(Ok((member, status))),
                    Verdict::Unfit(PassedOverReason::NoLeader, message),
                ) => {
                    let newest_first = u64::MAX.saturating_sub(status.applied_index);
                    leaderless.push((newest_first, answer.endpoint, member, status, message));
                }
                (Some(Ok((_, status))), Verdict::Unfit(reason, message)) => {
                    let error = Error::new(ErrorKind::Server, message)
                        .with_endpoint(answer.endpoint.to_string());
                    self.pass_over(&answer.endpoint, Some(&status), reason, error);
                }
                (_, Verdict::Unfit(reason, message)) => {
                    let error = Error::new(ErrorKind::Connection, message)
                        .with_endpoint(answer.endpoint.to_string());
                    self.pass_over(&answer.endpoint, None, reason, error);
                }
                (_, Verdict::Fit(_)) => {}
            }
        }
        // The worst day is when a snapshot is wanted most.
        if fit.is_empty() && denied.is_none() && self.policy == EndpointPolicy::Auto {
            leaderless.sort_by_key(|(newest_first, ..)| *newest_first);
            self.last_resort = !leaderless.is_empty();
            for (_, endpoint, member, status, _) in leaderless.drain(..) {
                fit.push((Rank::last_resort(), endpoint, member, status));
            }
        }
        for (_, endpoint, _, status, message) in leaderless {
            let error = Error::new(ErrorKind::Server, message).with_endpoint(endpoint.to_string());
            self.pass_over(&endpoint, Some(&status), PassedOverReason::NoLeader, error);
        }
        fit.sort_by_key(|(rank, ..)| *rank);
        for (_, endpoint, member, status) in fit {
            self.left.push_back(Candidate {
                endpoint,
                status: Some(status),
                member: self.left.is_empty().then_some(member),
            });
        }
        match denied {
            // Users and rights are the whole cluster's.
            Some(place) if self.left.is_empty() => Err(self.passed_over.remove(place).1),
            _ if self.left.is_empty() => Err(self.none_left()),
            _ => Ok(()),
        }
    }

    /// The best of those that are left, connected.
    ///
    /// # Errors
    /// There is none, or it does not let the user in.
    pub(crate) async fn next(&mut self) -> Result<(Member, MemberStatus)> {
        while let Some(candidate) = self.left.pop_front() {
            if let (Some(member), Some(status)) = (candidate.member, candidate.status) {
                return Ok((member, status));
            }
            let endpoint = candidate.endpoint;
            match reach(&self.cluster, &endpoint).await {
                Ok((member, status)) => match self.still_unfit(&endpoint, &status) {
                    None => return Ok((member, status)),
                    Some((reason, message)) => {
                        let error = Error::new(ErrorKind::Server, message)
                            .with_endpoint(endpoint.to_string());
                        self.pass_over(&endpoint, Some(&status), reason, error);
                    }
                },
                // Users and rights are the whole cluster's: the next member would say the same.
                Err(e) if e.kind() == ErrorKind::Denied => return Err(e),
                Err(e) => self.pass_over(&endpoint, None, PassedOverReason::Unreachable, e),
            }
        }
        Err(self.none_left())
    }

    /// A transfer may have taken an hour since it was asked.
    fn still_unfit(
        &self,
        endpoint: &Endpoint,
        status: &MemberStatus,
    ) -> Option<(PassedOverReason, String)> {
        if self.policy == EndpointPolicy::First {
            return None;
        }
        let unfit = fitness::unfit(endpoint, status, self.cluster_id, self.policy);
        unfit.filter(|(reason, _)| !self.last_resort || *reason != PassedOverReason::NoLeader)
    }

    /// Whether there is another one to try after this failure: it has to be the member's or the connection's.
    pub(crate) fn may_follow(&self, error: &Error) -> bool {
        !self.left.is_empty() && is_the_members(error.kind())
    }

    /// Takes note that the snapshot of this member failed.
    ///
    /// # Errors
    /// Nobody else is to be tried.
    pub(crate) fn failed(
        &mut self,
        endpoint: &str,
        status: &MemberStatus,
        error: Error,
    ) -> Result<()> {
        if !self.may_follow(&error) {
            return Err(self.give_up(endpoint, status, error));
        }
        self.note_failure(endpoint, status, error);
        Ok(())
    }

    /// What to say when nobody else is to be tried after this failure.
    pub(crate) fn give_up(&mut self, endpoint: &str, status: &MemberStatus, error: Error) -> Error {
        if !is_the_members(error.kind()) || !self.any_failed() {
            return error;
        }
        self.note_failure(endpoint, status, error);
        self.none_left()
    }

    fn note_failure(&mut self, endpoint: &str, status: &MemberStatus, error: Error) {
        let passed = PassedOver {
            endpoint: endpoint.to_owned(),
            member_id: Some(status.member_id),
            reason: PassedOverReason::Failed,
            message: named(endpoint, error.chain()),
        };
        self.passed_over.push((passed, error));
    }

    fn any_failed(&self) -> bool {
        let mut passed_over = self.passed_over.iter();
        passed_over.any(|(passed, _)| passed.reason == PassedOverReason::Failed)
    }

    /// What is wrong with endpoints, as far as it was not told yet.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let news = self.passed_over.iter().skip(self.told);
        let news = news.filter(|(passed, _)| passed.reason.is_fault());
        let news = news.map(|(passed, _)| passed.message.clone()).collect();
        self.told = self.passed_over.len();
        news
    }

    /// Why every other endpoint did not give the snapshot, in the order given.
    pub(crate) fn into_passed_over(self) -> Vec<PassedOver> {
        let policy = self.policy;
        let left = self.left.into_iter().map(|candidate| {
            let endpoint = candidate.endpoint.to_string();
            let leads = candidate
                .status
                .as_ref()
                .is_some_and(|status| status.is_leader);
            let (reason, message) = match policy {
                EndpointPolicy::First => (
                    PassedOverReason::NotNeeded,
                    format!("{endpoint} comes later in the order given, and was not asked"),
                ),
                EndpointPolicy::Auto if leads => (
                    PassedOverReason::Leader,
                    format!("{endpoint} is the leader, which is spared where a follower will do"),
                ),
                _ => (
                    PassedOverReason::NotNeeded,
                    format!("{endpoint} is as good, and comes later in the order given"),
                ),
            };
            PassedOver {
                member_id: candidate.status.map(|status| status.member_id),
                endpoint,
                reason,
                message,
            }
        });
        let mut all: Vec<_> = self
            .passed_over
            .into_iter()
            .map(|(passed, _)| passed)
            .collect();
        all.extend(left);
        let given: Vec<_> = self
            .cluster
            .endpoints()
            .iter()
            .map(ToString::to_string)
            .collect();
        all.sort_by_key(|passed| given.iter().position(|given| *given == passed.endpoint));
        all
    }

    fn pass_over(
        &mut self,
        endpoint: &Endpoint,
        status: Option<&MemberStatus>,
        reason: PassedOverReason,
        error: Error,
    ) {
        let endpoint = endpoint.to_string();
        let passed = PassedOver {
            message: named(&endpoint, error.chain()),
            endpoint,
            member_id: status.map(|status| status.member_id),
            reason,
        };
        self.passed_over.push((passed, error));
    }

    fn none_left(&mut self) -> Error {
        let mut all = std::mem::take(&mut self.passed_over);
        if all.len() == 1 {
            return all.remove(0).1;
        }
        // A transfer that failed says more than a member that is unfit, and that more than a way that is closed.
        let telling = all
            .iter()
            .find(|(passed, _)| passed.reason == PassedOverReason::Failed)
            .or_else(|| {
                all.iter()
                    .find(|(_, error)| error.kind() == ErrorKind::Server)
            })
            .or(all.first());
        let kind = telling.map_or(ErrorKind::Connection, |(_, error)| error.kind());
        let doing = match telling {
            Some((passed, _)) if passed.reason == PassedOverReason::Failed => "gave a snapshot",
            _ => "can be used",
        };
        let sentences: Vec<&str> = all.iter().map(|(passed, _)| &*passed.message).collect();
        Error::new(
            kind,
            format!(
                "none of the {} endpoints {doing}: {}",
                all.len(),
                sentences.join("; ")
            ),
        )
    }
}

impl Candidate {
    fn unasked(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            status: None,
            member: None,
        }
    }
}

/// Sentences of the stream speak of "the server".
fn named(endpoint: &str, sentence: String) -> String {
    match sentence.contains(endpoint) {
        true => sentence,
        false => format!("{endpoint}: {sentence}"),
    }
}

/// Whether a failure can be of this one member, or of the way to it; not of our disk, our options or our rights.
fn is_the_members(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Connection
            | ErrorKind::Stalled
            | ErrorKind::Stream
            | ErrorKind::Server
            | ErrorKind::DigestMismatch
            | ErrorKind::Damaged
            | ErrorKind::NotASnapshot
    )
}

/// Connects to one endpoint, logs in, and asks who it is.
pub(crate) async fn reach(
    cluster: &Cluster,
    endpoint: &Endpoint,
) -> Result<(Member, MemberStatus)> {
    let member = open(cluster, endpoint).await?;
    let status = member.status().await?;
    Ok((member, status))
}

/// Connects to one endpoint and logs in.
pub(super) async fn open(cluster: &Cluster, endpoint: &Endpoint) -> Result<Member> {
    let limit = cluster.connect_timeout();
    let system;
    let tls = match cluster.tls() {
        tls if !endpoint.over_tls(tls.is_some()) => None,
        Some(tls) => Some(tls),
        None => {
            system = Tls::builder().build()?;
            Some(&system)
        }
    };
    let channel = connect(endpoint, tls, limit).await?;
    Member::log_in(channel, endpoint, cluster.login(), limit).await
}
