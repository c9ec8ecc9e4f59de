//! Questions to living members, with the patience of etcd's own client: until a time is over, endpoints that cannot be
//! reached are tried again, and so are questions that can be asked twice.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use etcd_snap::api::Client;
use etcd_snap::{Cluster, Error, ErrorKind};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use super::call::Call;
use super::dialect::Dialect;
use super::ended::{self, Ended, Result};
use super::failure::LATE;
use super::log::Log;
use super::{connection, failure, go};

/// How long an endpoint is waited for alone, before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);
/// Until all endpoints are tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// Until a question is asked again; doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A method, and whether a second call does no harm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    path: &'static str,
    repeatable: bool,
    logged: bool,
}

impl Method {
    pub(super) const fn reading(path: &'static str) -> Self {
        Self {
            path,
            repeatable: true,
            logged: true,
        }
    }

    pub(super) const fn writing(path: &'static str) -> Self {
        Self {
            path,
            repeatable: false,
            logged: true,
        }
    }

    /// One whose answer is a stream: the original's client neither repeats it nor tells of it.
    pub(super) const fn streaming(path: &'static str) -> Self {
        Self {
            path,
            repeatable: false,
            logged: false,
        }
    }
}

pub(super) const LOGIN: Method = Method::reading("/etcdserverpb.Auth/Authenticate");

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    /// In the words of the original.
    pub(super) text: String,
    /// Nobody was let in, or nobody was there to let in: the original makes no client then.
    pub(super) at_login: bool,
    pub(super) permission_denied: bool,
}

impl Refusal {
    /// Whether the cluster has answered that it does not know the user: it would say so everywhere.
    pub(super) fn is_wrong_login(&self) -> bool {
        self.at_login && self.text != LATE
    }

    /// How a command ends that asks one question only.
    pub(super) fn ended(self) -> Ended {
        let code = match self.at_login {
            true => ended::BAD_CONNECTION,
            false => ended::ERROR,
        };
        Ended::new(code, self.text)
    }
}

/// Some endpoints of a cluster, and how to ask them.
pub(super) struct Asking<'a> {
    call: &'a Call,
    cluster: &'a Cluster,
    endpoints: Vec<String>,
    log: Log,
    /// Why the last attempt was in vain: all that is to be said when the time is over.
    last: RefCell<Option<Vain>>,
    /// Who is asked, once somebody is.
    peer: RefCell<Option<String>>,
    /// The connection of the last question: a login costs a server as much as a thousand keys.
    kept: RefCell<Option<Client>>,
}

struct Vain {
    method: Method,
    cause: String,
    /// What a server said, and not the network.
    answer: Option<String>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(call: &'a Call, cluster: &'a Cluster, endpoints: Vec<String>) -> Self {
        Self {
            call,
            cluster,
            endpoints,
            log: Log::client(call.dialect, "etcd-client"),
            last: RefCell::new(None),
            peer: RefCell::new(None),
            kept: RefCell::new(None),
        }
    }

    /// All endpoints that the flags name.
    pub(super) fn any(call: &'a Call, cluster: &'a Cluster) -> Self {
        Self::new(call, cluster, connection::endpoints(call))
    }

    /// Log lines under another name.
    pub(super) fn named(mut self, name: &'static str) -> Self {
        self.log = Log::client(self.call.dialect, name);
        self
    }

    /// Asks one question within the time of the command.
    pub(super) async fn ask<T>(
        &self,
        method: Method,
        question: impl AsyncFn(&Client) -> etcd_snap::Result<T>,
    ) -> Result<T, Refusal> {
        let began = Instant::now();
        let until = after(began, connection::command_timeout(self.call));
        let logs_in = self.logs_in();
        // The login has its own time, as it comes before the question.
        let reached_until = match logs_in {
            true => after(began, connection::dial_timeout(self.call)),
            false => until,
        };
        let kept = self.kept.take();
        let client = match kept {
            Some(client) => client,
            None => match timeout_at(reached_until, self.reach(method, 0)).await {
                Ok(reached) => reached?,
                Err(_) => return Err(self.late(method, false)),
            },
        };
        match timeout_at(until, self.keep_asking(client, method, question)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late(method, true)),
        }
    }

    /// Whether a user logs in, without which nothing is asked.
    fn logs_in(&self) -> bool {
        !self.call.flags.text("user").is_empty()
    }

    async fn keep_asking<T>(
        &self,
        mut client: Client,
        method: Method,
        question: impl AsyncFn(&Client) -> etcd_snap::Result<T>,
    ) -> Result<T, Refusal> {
        let mut pause = SHORTEST_PAUSE;
        let mut attempt = 0;
        loop {
            self.last.replace(None);
            self.peer.replace(Some(peer(client.endpoint())));
            let error = match question(&client).await {
                Ok(answer) => {
                    self.kept.replace(Some(client));
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let text = words(&error);
            self.warn(method, attempt, &client, &cause(&error));
            let unavailable = error.kind() == ErrorKind::Connection
                || failure::detail(&error, "code") == Some("Unavailable");
            if !(method.repeatable && unavailable) {
                self.kept.replace(Some(client));
                return Err(Refusal {
                    permission_denied: text == "etcdserver: permission denied",
                    text,
                    at_login: false,
                });
            }
            self.last.replace(Some(Vain {
                method,
                cause: cause(&error),
                answer: failure::answered(&error),
            }));
            sleep(pause).await;
            attempt += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
            client = self.reach(method, attempt as usize).await?;
        }
    }

    /// A connection to the endpoint that is there first, of those that are tried one after the other; `ahead` of the list
    /// come last.
    async fn reach(&self, method: Method, ahead: usize) -> Result<Client, Refusal> {
        let asked = if self.logs_in() { LOGIN } else { method };
        let mut endpoints = self.endpoints.clone();
        let ahead = ahead.checked_rem(endpoints.len()).unwrap_or_default();
        endpoints.rotate_left(ahead);
        loop {
            let mut attempts = JoinSet::new();
            let mut waiting = endpoints.iter().cloned();
            let mut first_failure = None;
            loop {
                if let Some(endpoint) = waiting.next() {
                    let cluster = self.cluster.clone();
                    attempts.spawn(async move { Client::connect(&cluster, &endpoint).await });
                } else if attempts.is_empty() {
                    break;
                }
                let done = match waiting.len() {
                    0 => attempts.join_next().await,
                    _ => tokio::time::timeout(HEAD_START, attempts.join_next())
                        .await
                        .unwrap_or_default(),
                };
                match done {
                    Some(Ok(Ok(client))) => return Ok(self.limited(client)),
                    Some(Ok(Err(error))) if is_final(&error) => {
                        return Err(self.not_let_in(&error));
                    }
                    Some(Ok(Err(error))) => {
                        first_failure.get_or_insert(error);
                    }
                    Some(Err(_)) | None => {}
                }
            }
            if let Some(error) = first_failure {
                self.last.replace(Some(Vain {
                    method: asked,
                    cause: dialling(self.call.dialect, &error),
                    answer: None,
                }));
            }
            sleep(PAUSE).await;
        }
    }

    /// The limits that flags set. Time is ours to watch.
    fn limited(&self, client: Client) -> Client {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let mut client = client.with_timeout(DAY);
        let bytes = |flag: &str| {
            let bytes = usize::try_from(self.call.flags.int(flag));
            bytes.ok().filter(|bytes| *bytes > 0)
        };
        if let Some(bytes) = bytes("max-request-bytes") {
            client = client.with_max_request_bytes(bytes);
        }
        if let Some(bytes) = bytes("max-recv-bytes") {
            client = client.with_max_answer_bytes(bytes);
        }
        client
    }

    fn not_let_in(&self, error: &Error) -> Refusal {
        if failure::detail(error, "code").is_some() {
            let endpoint = error.endpoint().unwrap_or_default();
            self.line(LOGIN, 0, &peer(endpoint), &cause(error));
        }
        Refusal {
            text: words(error),
            at_login: true,
            permission_denied: false,
        }
    }

    /// What is said when the time is over.
    fn late(&self, method: Method, connected: bool) -> Refusal {
        let at_login = !connected && self.logs_in();
        let last = self.last.take();
        let text = match last {
            // Its line is there already.
            Some(Vain {
                answer: Some(answer),
                ..
            }) => answer,
            Some(Vain { method, cause, .. }) => {
                let text = format!("rpc error: code = DeadlineExceeded desc = {cause}");
                self.line(method, 0, NO_PEER, &text);
                LATE.to_owned()
            }
            None => {
                let method = if at_login { LOGIN } else { method };
                // Where there is no time at all, nobody waits.
                let at_once = connection::command_timeout(self.call).is_zero();
                let waiting = match connected || at_once || self.call.dialect == Dialect::V3_4 {
                    true => "",
                    false => " while waiting for connections to become ready",
                };
                let text = format!("rpc error: code = DeadlineExceeded desc = {LATE}{waiting}");
                let peer = self.peer.take();
                self.line(method, 0, peer.as_deref().unwrap_or(NO_PEER), &text);
                LATE.to_owned()
            }
        };
        Refusal {
            text,
            at_login,
            permission_denied: false,
        }
    }

    fn warn(&self, method: Method, attempt: u32, client: &Client, cause: &str) {
        self.line(method, attempt, &peer(client.endpoint()), cause);
    }

    fn line(&self, method: Method, attempt: u32, peer: &str, cause: &str) {
        let first = self.endpoints.first().map_or("", String::as_str);
        let dialect = self.call.dialect;
        unary_failed(&self.log, dialect, first, method, attempt, peer, cause);
    }
}

/// The line that the original's client writes for every question that was in vain.
pub(super) fn unary_failed(
    log: &Log,
    dialect: Dialect,
    endpoint: &str,
    method: Method,
    attempt: u32,
    peer: &str,
    cause: &str,
) {
    if !method.logged {
        return;
    }
    let (caller, target) = match dialect {
        Dialect::V3_4 => ("clientv3/retry_interceptor.go", "endpoint://client"),
        _ => ("v3/retry_interceptor.go", "etcd-endpoints://0xc0"),
    };
    let target = format!("{target}/{}", address(endpoint));
    let mut fields = vec![("target", Value::from(target))];
    if dialect >= Dialect::V3_5 {
        fields.push(("peer", peer.into()));
    }
    if dialect >= Dialect::V3_6 {
        fields.push(("method", method.path.into()));
    }
    fields.push(("attempt", attempt.into()));
    fields.push(("error", cause.into()));
    log.warn(caller, "retrying of unary invoker failed", &fields);
}

/// Runs what a command has to ask.
pub(super) fn run<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Ended::error(format!(
                "cannot start the network runtime: {}",
                go::system(&error)
            ))
        })?;
    Ok(runtime.block_on(work))
}

/// All at once; what comes of each, in their order.
pub(super) async fn together<T>(work: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = work.map(Box::pin).map(Some).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (work, done) in running.iter_mut().zip(&mut done) {
            if let Some(running) = work
                && let Poll::Ready(result) = running.as_mut().poll(cx)
            {
                *done = Some(result);
                *work = None;
            }
        }
        match running.iter().all(Option::is_none) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// Nobody was reached.
pub(super) const NO_PEER: &str = "Peer{Addr: <nil>, LocalAddr: <nil>, AuthInfo: <nil>}";

/// Who was asked, in the original's form.
pub(super) fn peer(endpoint: &str) -> String {
    let security = match endpoint.starts_with("https") {
        true => "tls",
        false => "insecure",
    };
    let address = address(endpoint);
    format!("Peer{{Addr: '{address}', LocalAddr: <nil>, AuthInfo: '{security}'}}")
}

fn address(endpoint: &str) -> &str {
    match endpoint.split_once("://") {
        Some((_, address)) => address,
        None => endpoint,
    }
}

/// 0 is no time at all, as in the original.
fn after(began: Instant, time: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    began.checked_add(time).unwrap_or(began + FOR_EVER)
}

/// Whether it is of no use to try again: the cluster answered, or what was given cannot be used.
fn is_final(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Connection | ErrorKind::Stalled => false,
        _ => failure::detail(error, "code") != Some("Unavailable"),
    }
}

/// What an error is in the words of the original's client.
fn words(error: &Error) -> String {
    if let Some(text) = too_large(error) {
        return text;
    }
    match failure::answered(error) {
        Some(answer) => answer,
        None => failure::sentence(error),
    }
}

/// As [`words`], with the code in any case.
fn cause(error: &Error) -> String {
    let detail = |name| failure::detail(error, name);
    match (too_large(error), detail("code"), detail("message")) {
        (Some(text), ..) => text,
        (None, Some(code), Some(message)) => format!("rpc error: code = {code} desc = {message}"),
        _ => format!(
            "rpc error: code = Unavailable desc = {}",
            failure::sentence(error)
        ),
    }
}

/// Messages that are larger than a limit of ours.
fn too_large(error: &Error) -> Option<String> {
    const CODE: &str = "rpc error: code = ResourceExhausted desc = ";
    if let (Some(size), Some(limit)) = (
        failure::detail(error, "size_bytes"),
        failure::detail(error, "limit_bytes"),
    ) {
        return Some(format!(
            "{CODE}trying to send message larger than max ({size} vs. {limit})"
        ));
    }
    let message = failure::detail(error, "message")?;
    let sizes = message.strip_prefix("Error, decoded message length too large: found ")?;
    let (size, limit) = sizes.split_once(" bytes, the limit is: ")?;
    let limit = limit.strip_suffix(" bytes")?;
    Some(format!(
        "{CODE}grpc: received message larger than max ({size} vs. {limit})"
    ))
}

/// Why an endpoint could not be reached, as a balancer says it.
fn dialling(dialect: Dialect, error: &Error) -> String {
    let address = address(error.endpoint().unwrap_or_default());
    let number = failure::detail(error, "os_error").and_then(|number| number.parse().ok());
    let cause = match (number, failure::detail(error, "unresolved")) {
        (Some(number), _) => {
            let system = std::io::Error::from_raw_os_error(number);
            format!("dial tcp {address}: connect: {}", go::system(&system))
        }
        (None, Some(name)) => format!("dial tcp: lookup {name}: no such host"),
        (None, None) => failure::sentence(error),
    };
    let colon = if dialect == Dialect::V3_4 { "" } else { ":" };
    let inner = format!("transport: Error while dialing{colon} {cause}");
    format!(
        "latest balancer error: connection error: desc = {}",
        go::quote(&inner)
    )
}
