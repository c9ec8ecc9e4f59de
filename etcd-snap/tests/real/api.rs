//! Single questions to real servers, and their answers as they came.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::api::messages::{AlarmType, PutRequest, RangeRequest};
use etcd_snap::api::{Answer, Client};
use etcd_snap::{Cluster, Error, ErrorKind, MemberId, Revision};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, ROOT_PASSWORD, Security};
use etcd_snap_testdata::etcd::Version;

use crate::client;

/// The oldest and the newest: what lies between knows no more than the newest.
const VERSIONS: [Version; 2] = [Version::V3_4, Version::V3_7];

fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: key.into(),
        value: value.into(),
        ..PutRequest::default()
    }
}

/// All keys.
fn everything() -> RangeRequest {
    RangeRequest {
        key: vec![0],
        range_end: vec![0],
        ..RangeRequest::default()
    }
}

fn detail<'e>(error: &'e Error, name: &str) -> Option<&'e str> {
    let mut details = error.detail();
    details.find_map(|(known, value)| (known == name).then_some(value))
}

/// What a server refused, in its own words.
fn refused<T>(answer: etcd_snap::Result<Answer<T>>) -> Result<(ErrorKind, String, String)> {
    let error = answer.err().context("it was not refused")?;
    let told = |name| detail(&error, name).context("it does not carry what the server said");
    let (code, message) = (told("code")?.to_owned(), told("message")?.to_owned());
    Ok((error.kind(), code, message))
}

#[test]
fn members_answer_every_question_and_etcdctl_hears_the_same() -> Result<()> {
    for version in VERSIONS {
        for auth in [false, true] {
            let cluster = RealCluster::builder(version)
                .auth(auth)
                .security(if auth {
                    Security::ServerTls
                } else {
                    Security::Plain
                })
                .start()?;
            run(questions(&cluster)).with_context(|| format!("etcd {version}, auth {auth}"))?;
        }
    }
    Ok(())
}

async fn questions(cluster: &RealCluster) -> Result<()> {
    let mut known = client(cluster, cluster.endpoint(0))?;
    if let Some((user, password)) = cluster.credentials() {
        known = known.with_user(user, password);
    }
    let client = Client::connect_any(&known).await?;
    ensure!(client.endpoint() == cluster.endpoint(0));

    let first = client.put(put("key", "<one>")).await?;
    ensure!(first.message.prev_kv.is_none());
    let again = PutRequest {
        prev_kv: true,
        ..put("key", "two")
    };
    let second = client.put(again).await?;
    let previous = second.message.prev_kv.context("no previous value")?;
    ensure!(previous.value == b"<one>" && previous.version == 1);
    let absent = PutRequest {
        ignore_value: true,
        value: Vec::new(),
        ..put("absent", "")
    };
    let (kind, code, message) = refused(client.put(absent).await)?;
    ensure!(kind == ErrorKind::Server && code == "InvalidArgument");
    ensure!(message == "etcdserver: key not found", "{message}");
    cluster.etcdctl(["put", "other", "value"])?;

    let range = client.range(everything()).await?;
    ensure!(range.message.count == 2 && range.message.kvs[0].value == b"two");
    let told = cluster.etcdctl(["get", "", "--prefix", "-w", "protobuf"])?;
    ensure!(told.as_bytes() == String::from_utf8_lossy(&range.bytes).as_bytes());
    let future = RangeRequest {
        revision: 1_000,
        ..everything()
    };
    let (_, code, message) = refused(client.range(future).await)?;
    ensure!(code == "OutOfRange", "{code}");
    ensure!(message == "etcdserver: mvcc: required revision is a future revision");
    streamed(cluster, &client, &range).await?;

    let status = client.status().await?.message;
    ensure!(status.leader != 0 && status.raft_applied_index > 0 && status.db_size > 0);
    ensure!(status.version.starts_with(&cluster.version().to_string()));
    for linearizable in [false, true] {
        let members = client.member_list(linearizable).await?.message.members;
        ensure!(members.len() == 1 && members[0].id == status.leader);
    }
    let hash = client.hash_kv(Some(Revision::new(3))).await?.message;
    ensure!(hash.hash == cluster.hash_kv(0, 3)?.hash);
    client.defragment().await?;

    ensure!(client.alarms().await?.message.alarms.is_empty());
    let member = MemberId::new(status.leader);
    let disarmed = client.disarm(member, AlarmType::Nospace).await?;
    ensure!(disarmed.message.alarms.is_empty());
    limits(&known, cluster.endpoint(0)).await?;
    if cluster.credentials().is_some() {
        rights(cluster).await?;
    }
    Ok(())
}

/// Parts make the answer that is given in one, where servers give parts at all.
async fn streamed<T>(cluster: &RealCluster, client: &Client, range: &Answer<T>) -> Result<()> {
    if cluster.version() >= Version::V3_7 {
        let mut parts = client.range_stream(everything()).await?;
        let mut keys = 0;
        while let Some(part) = parts.next().await? {
            ensure!(!part.bytes.is_empty());
            keys += part.message.range_response.map_or(0, |part| part.kvs.len());
        }
        ensure!(keys == 2);
        let whole = client.range_stream(everything()).await?.whole().await?;
        ensure!(whole.bytes == range.bytes);
        return Ok(());
    }
    // The refusal may come with the first part.
    let parts = match client.range_stream(everything()).await {
        Ok(parts) => parts.whole().await,
        Err(e) => Err(e),
    };
    let (kind, code, _) = refused(parts)?;
    ensure!(kind == ErrorKind::Server && code == "Unimplemented");
    Ok(())
}

async fn limits(known: &Cluster, endpoint: &str) -> Result<()> {
    let client = Client::connect(known, endpoint)
        .await?
        .with_max_request_bytes(100)
        .with_max_answer_bytes(20);
    let long = client.put(put("long", &"x".repeat(200))).await;
    let error = long.err().context("it was sent")?;
    ensure!(error.kind() == ErrorKind::InvalidInput, "{error:?}");
    ensure!(detail(&error, "limit_bytes") == Some("100"), "{error:?}");
    let (_, code, _) = refused(client.range(everything()).await)?;
    ensure!(code == "OutOfRange", "{code}");
    Ok(())
}

/// Who is not let in, and in which words.
async fn rights(cluster: &RealCluster) -> Result<()> {
    let nobody = client(cluster, cluster.endpoint(0))?;
    let unknown = Client::connect_any(&nobody).await?;
    let (kind, code, message) = refused(unknown.range(everything()).await)?;
    ensure!(kind == ErrorKind::Denied && code == "InvalidArgument");
    ensure!(message == "etcdserver: user name is empty", "{message}");

    let guessing = nobody.with_user("root", format!("{ROOT_PASSWORD}?"));
    let error = Client::connect_any(&guessing).await.err();
    let error = error.context("it was let in")?;
    ensure!(error.kind() == ErrorKind::Denied, "{error:?}");
    let message = detail(&error, "message").unwrap_or_default();
    ensure!(message.ends_with("authentication failed, invalid user ID or password"));
    Ok(())
}

#[test]
fn silence_and_absence_are_told_apart() -> Result<()> {
    let mut cluster = RealCluster::builder(Version::NEWEST)
        .security(Security::Plain)
        .start()?;
    let known = client(&cluster, cluster.endpoint(0))?;
    run(async {
        let client = Client::connect_any(&known).await?;
        cluster.freeze(0)?;
        let client = client.with_timeout(Duration::from_millis(200));
        let silence = client.range(everything()).await.err();
        cluster.thaw(0)?;
        let error = silence.context("a frozen server answered")?;
        ensure!(error.kind() == ErrorKind::Stalled, "{error:?}");
        ensure!(detail(&error, "code") == Some("DeadlineExceeded"));

        cluster.stop(0)?;
        let error = client.range(everything()).await.err();
        let error = error.context("a stopped server answered")?;
        ensure!(error.kind() == ErrorKind::Connection, "{error:?}");
        let absent = Client::connect(&known, cluster.endpoint(0)).await.err();
        let error = absent.context("a stopped server was reached")?;
        ensure!(error.kind() == ErrorKind::Connection, "{error:?}");
        ensure!(detail(&error, "code").is_none(), "{error:?}");
        Ok(())
    })
}
