//! `endpoint status`, `endpoint health` and `endpoint hashkv`: each endpoint is asked on its own.

use etcd_snap::Revision;
use etcd_snap::api::messages::{AlarmType, RangeRequest};
use etcd_snap::api::{Answer, Client};
use tokio::time::Instant;

use crate::compat::answers::{self, Health, Look};
use crate::compat::asking::{self, Asking, Method, Refusal};
use crate::compat::call::{Call, print, print_aside};
use crate::compat::connection;
use crate::compat::dialect::Dialect;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::go;
use crate::compat::tree::Command;

use super::{alarm, member};

const STATUS_METHOD: Method = Method::reading("/etcdserverpb.Maintenance/Status");
const HASH_METHOD: Method = Method::reading("/etcdserverpb.Maintenance/HashKV");
const GET_METHOD: Method = Method::reading("/etcdserverpb.KV/Range");

pub(crate) const STATUS: Command = Command::new(
    "status",
    "",
    "print what each endpoint says about itself",
    status,
);
pub(crate) const HEALTH: Command = Command::new(
    "health",
    "",
    "tell whether each endpoint takes part in the cluster",
    health,
);
pub(crate) const HASHKV: Command = Command::new(
    "hashkv",
    "",
    "print the hash over the keys of each endpoint",
    hashkv,
)
.flags(&[Flag::int("rev", "hash at this revision; 0 is the newest")]);

/// The endpoints to ask one by one: those that are given, or with `--cluster` those of all members that they know of.
pub(super) async fn each(call: &Call, cluster: &etcd_snap::Cluster) -> Result<Vec<String>> {
    if !call.flags.switch("cluster") {
        return Ok(connection::endpoints(call));
    }
    let linearizable = call.is_at_least(Dialect::V3_5);
    let asking = Asking::any(call, cluster);
    let answer = asking
        .ask(member::METHOD, async |client| {
            client.member_list(linearizable).await
        })
        .await
        .map_err(|refusal| match refusal.at_login {
            // Older ones log in beforehand, for the questions themselves.
            true if !call.is_at_least(Dialect::V3_6) => refusal.ended(),
            true => Ended::error(refusal.text),
            false => Ended::error(format!(
                "failed to fetch endpoints from etcd cluster member list: {}",
                refusal.text
            )),
        })?;
    let members = answer.message.members.into_iter();
    Ok(members.flat_map(|member| member.client_urls).collect())
}

fn status(call: &Call) -> Result<()> {
    let asked = ask_each(call, STATUS_METHOD, "status", &async |client: &Client| {
        client.status().await
    })?;
    print(answers::statuses(Look::of(&asked.call)?, &asked.answers)?)?;
    match asked.failure {
        None => Ok(()),
        Some(_) => Err(Ended::silent(ended::ERROR)),
    }
}

fn hashkv(call: &Call) -> Result<()> {
    let revision = Some(Revision::new(call.flags.int("rev"))).filter(|rev| rev.get() != 0);
    let asked = ask_each(call, HASH_METHOD, "hash", &async |client: &Client| {
        client.hash_kv(revision).await
    })?;
    print(answers::hashes(Look::of(&asked.call)?, &asked.answers)?)?;
    match asked.failure {
        None => Ok(()),
        Some(refusal) => Err(Ended::error(refusal.text)),
    }
}

/// What came of one question to each endpoint.
struct Asked<T> {
    /// With what variables have set.
    call: Call,
    answers: Vec<(String, T)>,
    /// The last one.
    failure: Option<Refusal>,
}

/// Asks all endpoints the same, one after the other. A failure is told at once, and the others are asked all the same.
fn ask_each<T>(
    call: &Call,
    method: Method,
    what: &str,
    question: &impl AsyncFn(&Client) -> etcd_snap::Result<Answer<T>>,
) -> Result<Asked<T>> {
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    // A form that is not there is refused before anybody is asked.
    Look::of(&call)?;
    let (answers, failure) = asking::run(async {
        let mut answers = Vec::new();
        let mut failure = None;
        for endpoint in each(&call, &cluster).await? {
            let asking = Asking::new(&call, &cluster, vec![endpoint.clone()]);
            match asking.ask(method, question).await {
                Ok(answer) => answers.push((endpoint, answer.message)),
                Err(refusal) if refusal.is_wrong_login() => return Err(refusal.ended()),
                Err(refusal) => {
                    print_aside(format!(
                        "Failed to get the {what} of endpoint {endpoint} ({})",
                        refusal.text
                    ));
                    failure = Some(refusal);
                }
            }
        }
        Ok((answers, failure))
    })??;
    Ok(Asked {
        call,
        answers,
        failure,
    })
}

fn health(call: &Call) -> Result<()> {
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let all = asking::run(async {
        let endpoints = each(&call, &cluster).await?;
        let questions = endpoints
            .iter()
            .map(|endpoint| one(&call, &cluster, endpoint));
        Ok(asking::together(questions).await)
    })??;
    answers::health(look, &all)?;
    match all.iter().all(|one| one.error.is_empty()) {
        true => Ok(()),
        false => Err(Ended::error("unhealthy cluster")),
    }
}

/// Reads a key that need not be there, for which it takes a quorum, and looks for alarms.
async fn one(call: &Call, cluster: &etcd_snap::Cluster, endpoint: &str) -> Health {
    let began = Instant::now();
    let asking = Asking::new(call, cluster, vec![endpoint.to_owned()]).named("client");
    let question = RangeRequest {
        key: b"health".to_vec(),
        ..RangeRequest::default()
    };
    let read = asking
        .ask(GET_METHOD, async |client| {
            client.range(question.clone()).await
        })
        .await;
    let mut health = Health {
        endpoint: endpoint.to_owned(),
        healthy: true,
        took: go::duration(began.elapsed()),
        error: String::new(),
    };
    if let Err(refusal) = read
        && !refusal.permission_denied
    {
        health.healthy = false;
        if refusal.at_login {
            health.took = String::new();
        }
        health.error = refusal.text;
        return health;
    }
    // Since 3.5.
    if call.is_at_least(Dialect::V3_5) {
        let asked = asking
            .ask(alarm::METHOD, async |client| client.alarms().await)
            .await;
        health.error = match asked {
            Err(_) => "Unable to fetch the alarm list".to_owned(),
            Ok(answer) => alarms(answer.message.alarms.iter().map(|alarm| alarm.alarm)),
        };
        health.healthy = health.error.is_empty();
    }
    health
}

fn alarms(raised: impl Iterator<Item = i32>) -> String {
    let names: String = raised
        .map(|alarm| match AlarmType::try_from(alarm) {
            Ok(AlarmType::Nospace) => "NOSPACE ",
            Ok(AlarmType::Corrupt) => "CORRUPT ",
            _ => "UNKNOWN ",
        })
        .collect();
    match names.is_empty() {
        true => names,
        false => format!("Active Alarm(s): {names}"),
    }
}
