//! The living members, asked.

use std::time::Duration;

use etcd_snap::api::Client;
use etcd_snap::api::messages::Member;
use etcd_snap::{Cluster, ClusterId, Revision};
use tokio::task::JoinSet;

use super::verdict::{Asked, of_alarms, of_hashes, of_status};
use super::{Chart, DoctorOptions, Living};
use crate::observe::{Event, tell};
use crate::{Etcd, Finding, Result, network};

/// Hashing some gigabytes takes a member a while.
const HASHING: Duration = Duration::from_secs(60);

/// A cluster to ask, and what the machine knows of it.
struct Question {
    title: String,
    cluster: Cluster,
    quota_bytes: Option<u64>,
}

pub(super) fn look(etcds: &[&Etcd], options: &DoctorOptions, chart: &mut Chart) -> Result<()> {
    let runtime = network::runtime()?;
    for question in questions(etcds, options, chart) {
        tell(
            options.observer.as_ref(),
            &Event::Waiting {
                what: format!("the answers of {}", question.title),
            },
        )?;
        runtime.block_on(ask(&question, options, chart));
    }
    Ok(())
}

fn questions(etcds: &[&Etcd], options: &DoctorOptions, chart: &mut Chart) -> Vec<Question> {
    if let Some(cluster) = &options.cluster {
        let quotas: Vec<_> = etcds.iter().map(|etcd| etcd.quota_bytes).collect();
        return vec![Question {
            title: "the cluster".to_owned(),
            cluster: cluster.clone(),
            quota_bytes: match quotas.as_slice() {
                [only] => *only,
                _ => None,
            },
        }];
    }
    let mut questions = Vec::new();
    for etcd in etcds {
        match etcd.cluster(&options.root) {
            Ok(cluster) => questions.push(Question {
                title: etcd.title(),
                cluster: cluster.with_connect_timeout(options.timeout),
                quota_bytes: etcd.quota_bytes,
            }),
            Err(e) => chart.add(
                Finding::error(
                    "cannot-connect",
                    format!(
                        "no client of this machine can connect to {}: {e}",
                        etcd.title()
                    ),
                )
                .with_remedy(e.remedy().unwrap_or("mend what the other findings name")),
            ),
        }
    }
    questions
}

async fn ask(question: &Question, options: &DoctorOptions, chart: &mut Chart) {
    let cluster = &question.cluster;
    let first = match Client::connect_any(cluster).await {
        Ok(client) => client,
        Err(e) => return unreachable(&question.title, &e, chart),
    };
    let mut members = match first.member_list(false).await {
        Ok(answer) => answer.message.members,
        Err(e) => return unreachable(&question.title, &e, chart),
    };
    members.sort_by(|one, other| one.name.cmp(&other.name));
    let (asked, clients) = ask_all(cluster, members.clone(), &first).await;
    let answered = asked.iter().filter(|one| one.status.is_ok()).count();
    chart.saw(format!(
        "{}: {answered} of {} members answer",
        question.title,
        asked.len()
    ));
    for finding in of_status(&asked, question.quota_bytes) {
        chart.add(finding);
    }
    match first.alarms().await {
        Ok(answer) => {
            for finding in of_alarms(&answer.message.alarms, &members) {
                chart.add(finding);
            }
        }
        Err(e) => chart.add(unanswered("which alarms are in force", &e)),
    }
    let statuses = asked.iter().filter_map(|one| one.status.as_ref().ok());
    let headers = statuses.filter_map(|status| status.header.as_ref());
    chart.living = headers
        .clone()
        .max_by_key(|header| header.revision)
        .map(|header| Living {
            cluster_id: ClusterId::new(header.cluster_id),
            revision: Revision::new(header.revision),
        });
    let agreed = headers.map(|header| Revision::new(header.revision)).min();
    if let Some(revision) = agreed.filter(|_| options.compares && answered > 1) {
        compare(&asked, clients, revision, chart).await;
    }
}

/// All at once: who does not answer takes its time. In the order of the members.
async fn ask_all(
    cluster: &Cluster,
    members: Vec<Member>,
    first: &Client,
) -> (Vec<Asked>, Vec<Option<Client>>) {
    let own = first
        .status()
        .await
        .ok()
        .and_then(|answer| answer.message.header);
    let mut tasks = JoinSet::new();
    for (place, mut member) in members.into_iter().enumerate() {
        // The way that is open already leads to it, whatever it says of itself.
        if own
            .as_ref()
            .is_some_and(|header| header.member_id == member.id)
        {
            member.client_urls.insert(0, first.endpoint().to_owned());
        }
        let cluster = cluster.clone();
        tasks.spawn(async move { (place, ask_member(&cluster, member).await) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).unzip()
}

async fn ask_member(cluster: &Cluster, member: Member) -> (Asked, Option<Client>) {
    let mut reason = "it names no address for clients".to_owned();
    let mut endpoint = String::new();
    for url in &member.client_urls {
        url.clone_into(&mut endpoint);
        let said = match Client::connect(cluster, url).await {
            Ok(client) => client.status().await.map(|answer| (client, answer.message)),
            Err(e) => Err(e),
        };
        match said {
            Ok((client, status)) => {
                let status = Ok(status);
                return (
                    Asked {
                        member,
                        endpoint,
                        status,
                    },
                    Some(client),
                );
            }
            Err(e) => reason = chain(&e),
        }
    }
    let status = Err(reason);
    (
        Asked {
            member,
            endpoint,
            status,
        },
        None,
    )
}

/// All at the revision that every one of them has.
async fn compare(
    asked: &[Asked],
    clients: Vec<Option<Client>>,
    revision: Revision,
    chart: &mut Chart,
) {
    let mut hashes = Vec::new();
    for (one, client) in asked.iter().zip(clients) {
        let (Ok(_), Some(client)) = (&one.status, client) else {
            continue;
        };
        let client = client.with_timeout(HASHING);
        match client.hash_kv(Some(revision)).await {
            Ok(answer) => hashes.push((one.member.name.clone(), answer.message)),
            Err(e) => chart.add(unanswered(&format!("{} for its hash", one.member.name), &e)),
        }
    }
    chart.saw(format!(
        "the hashes of {} members at revision {revision}",
        hashes.len()
    ));
    if let Some(finding) = of_hashes(&hashes, revision) {
        chart.add(finding);
    }
}

fn unreachable(title: &str, error: &etcd_snap::Error, chart: &mut Chart) {
    chart.add(
        Finding::error(
            "no-answer",
            format!("{title} does not answer: {}", chain(error)),
        )
        .with_remedy("no backup can be taken now: see whether it runs, and what its log says"),
    );
}

fn unanswered(what: &str, error: &etcd_snap::Error) -> Finding {
    Finding::warning(
        "question-unanswered",
        format!("asked {what}, the cluster failed: {}", chain(error)),
    )
}

fn chain(error: &etcd_snap::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
