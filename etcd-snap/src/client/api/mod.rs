//! Single questions to one member of a running cluster, for programs that show what members say.
//!
//! The verbs of this crate do not need it: [`save`](crate::save) and [`attest`](crate::attest()) ask on their own.
//!
//! ```no_run
//! use etcd_snap::Cluster;
//! use etcd_snap::api::Client;
//!
//! # async fn show() -> etcd_snap::Result<()> {
//! let cluster = Cluster::new(["https://10.0.0.1:2379", "https://10.0.0.2:2379"])?;
//! let client = Client::connect_any(&cluster).await?;
//! for member in client.member_list(true).await?.message.members {
//!     println!("{:x} {}", member.id, member.name);
//! }
//! # Ok(())
//! # }
//! ```

mod keys;
mod maintenance;
/// What is asked and answered.
pub mod messages;

use std::fmt;
use std::time::Duration;

use prost::Message;

use super::ask::Sizes;
use super::choose::open;
use super::cluster::Cluster;
use super::endpoint::Endpoint;
use super::maintenance::Member;
use crate::{Error, ErrorKind, Result};

pub use super::ask::Answer;
pub use keys::RangeStream;

/// A connection to one member.
///
/// It is made once: when it breaks, every question fails, and a new one has to be made. A question that is dropped before its
/// answer came may have been carried out.
///
/// # Errors
/// Every question can fail with
///
/// * [`ErrorKind::Denied`]: user or rights are missing,
/// * [`ErrorKind::Server`]: the member answered with an error of its own,
/// * [`ErrorKind::Stalled`]: there was no answer in time,
/// * [`ErrorKind::Connection`]: the connection broke.
///
/// What the member said itself is in the details `code`, like `Unavailable`, and `message`, like `etcdserver: no leader`. Where
/// nothing came in time, `code` is `DeadlineExceeded`.
pub struct Client {
    member: Member,
    timeout: Duration,
    sizes: Sizes,
}

impl Client {
    /// Connects to one endpoint, and logs in where the cluster has a user. The endpoint is written as in
    /// [`Cluster::new`], and need not be one of the cluster's.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is no endpoint, [`ErrorKind::Connection`] where it cannot be reached, and those
    /// of a question for the login.
    pub async fn connect(cluster: &Cluster, endpoint: &str) -> Result<Self> {
        Self::open(cluster, &Endpoint::parse(endpoint)?).await
    }

    /// Connects to the first of the cluster's endpoints that can be used.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), with the sentences of all endpoints.
    pub async fn connect_any(cluster: &Cluster) -> Result<Self> {
        let mut failures = Vec::new();
        for endpoint in cluster.endpoints() {
            match Self::open(cluster, endpoint).await {
                Ok(client) => return Ok(client),
                // Users and rights are the whole cluster's: the next member would say the same.
                Err(e) if e.kind() == ErrorKind::Denied => return Err(e),
                Err(e) => failures.push(e),
            }
        }
        Err(none_of(failures))
    }

    async fn open(cluster: &Cluster, endpoint: &Endpoint) -> Result<Self> {
        Ok(Self {
            member: open(cluster, endpoint).await?,
            timeout: cluster.connect_timeout(),
            sizes: Sizes::USUAL,
        })
    }

    /// The longest that one question may take; for answers in parts, the longest silence. The cluster's connect timeout
    /// unless set.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The largest question to send, in bytes. 2 MiB unless set.
    #[must_use]
    pub fn with_max_request_bytes(mut self, bytes: usize) -> Self {
        self.sizes.request = bytes;
        self
    }

    /// The largest answer to take, in bytes. 2 GiB less one byte unless set.
    #[must_use]
    pub fn with_max_answer_bytes(mut self, bytes: usize) -> Self {
        self.sizes.answer = bytes;
        self
    }

    /// The endpoint, as it was given.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.member.endpoint()
    }

    async fn ask<Q, A>(&self, doing: &str, path: &'static str, question: Q) -> Result<Answer<A>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.fits(doing, &question)?;
        self.member
            .ask(doing, path, question, self.timeout, self.sizes)
            .await?
            .map_err(|status| self.member.refused(doing, &status))
    }

    fn fits(&self, doing: &str, question: &impl Message) -> Result<()> {
        let (size, limit) = (question.encoded_len(), self.sizes.request);
        if size <= limit {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} was not asked to {doing}: the request has {size} bytes, and {limit} are the limit",
            self.endpoint()
        ))
        .with_endpoint(self.endpoint())
        .with_detail("size_bytes", size.to_string())
        .with_detail("limit_bytes", limit.to_string()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint())
            .field("timeout", &self.timeout)
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}

/// Why not one endpoint can be used.
fn none_of(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1 {
        return failures.remove(0);
    }
    let sentences: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let kind = failures
        .first()
        .map_or(ErrorKind::Connection, |first| first.kind());
    Error::new(
        kind,
        format!(
            "none of the {} endpoints can be used: {}",
            failures.len(),
            sentences.join("; ")
        ),
    )
}
