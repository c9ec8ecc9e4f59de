//! What the answers of members say about their cluster.

use std::collections::BTreeMap;

use etcd_snap::api::messages::{AlarmMember, AlarmType, HashKvResponse, Member, StatusResponse};

use etcd_snap::Revision;

use super::machine::size;
use crate::Finding;

/// etcd's own quota where none is set.
const USUAL_QUOTA_BYTES: u64 = 2 << 30;
/// etcd's servers refuse writes while they are further than this behind.
const LAG: u64 = 5000;
/// Free pages in a small file hurt nobody.
const WORTH_DEFRAGMENTING_BYTES: u64 = 100 << 20;

/// What came of asking one member.
pub(super) struct Asked {
    pub(super) member: Member,
    /// The endpoint that was tried last.
    pub(super) endpoint: String,
    /// Its answer, or why there is none.
    pub(super) status: Result<StatusResponse, String>,
}

impl Asked {
    fn title(&self) -> String {
        match self.member.name.as_str() {
            "" => format!("{:x}", self.member.id),
            name => name.to_owned(),
        }
    }
}

/// What the members say of themselves and of each other. `quota_bytes` is what the configuration says, for servers that do not.
pub(super) fn of_status(asked: &[Asked], quota_bytes: Option<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    reach(asked, &mut findings);
    let answers: Vec<_> = asked
        .iter()
        .filter_map(|one| Some((one, one.status.as_ref().ok()?)))
        .collect();
    let applied = answers.iter().map(|(_, status)| applied(status)).max();
    for (one, status) in &answers {
        let title = one.title();
        if status.leader == 0 {
            findings.push(
                Finding::error(
                    "no-leader",
                    format!("{title} knows no leader: the cluster takes no writes"),
                )
                .with_remedy("bring back the members that are missing; if they are lost, restore"),
            );
        }
        if let Some(newest) = applied
            && newest.saturating_sub(self::applied(status)) > LAG
        {
            findings.push(
                Finding::warning(
                    "lagging",
                    format!(
                        "{title} is {} entries behind the newest member: a backup from it is old, and it refuses writes",
                        newest.saturating_sub(self::applied(status))
                    ),
                )
                .with_remedy("look at its disk and its network"),
            );
        }
        quota(&title, status, quota_bytes, &mut findings);
        if status.is_learner {
            findings.push(
                Finding::note(
                    "learner",
                    format!(
                        "{title} is a learner: it counts for no majority, and gives no snapshot"
                    ),
                )
                .with_remedy("`etcdctl member promote` makes it a member when it has caught up"),
            );
        }
        if status
            .downgrade_info
            .as_ref()
            .is_some_and(|info| info.enabled)
        {
            findings.push(
                Finding::warning("downgrade-under-way", format!("{title} says that a downgrade is under way"))
                    .with_remedy("finish it, or cancel it with `etcdctl downgrade cancel`, before anything is restored"),
            );
        }
    }
    versions(&answers, &mut findings);
    findings
}

fn applied(status: &StatusResponse) -> u64 {
    match status.raft_applied_index {
        0 => status.raft_index,
        applied => applied,
    }
}

fn reach(asked: &[Asked], findings: &mut Vec<Finding>) {
    let voters = asked.iter().filter(|one| !one.member.is_learner);
    let total = voters.clone().count();
    let answer = voters.filter(|one| one.status.is_ok()).count();
    let majority = total / 2 + 1;
    for one in asked {
        let Err(reason) = &one.status else {
            continue;
        };
        if one.member.name.is_empty() {
            findings.push(
                Finding::warning(
                    "member-not-started",
                    format!(
                        "{} was added and never started: it counts for the majority all the same",
                        one.title()
                    ),
                )
                .with_remedy("start it, or remove it with `etcdctl member remove`"),
            );
            continue;
        }
        let left = match answer.checked_sub(majority) {
            None => "the cluster has no majority".to_owned(),
            Some(0) => "one more, and the cluster has no majority".to_owned(),
            Some(more) => format!("{more} more may fail"),
        };
        let said = format!(
            "{} does not answer at {}: {reason}; {left}",
            one.title(),
            one.endpoint
        );
        let remedy = "start it again; if its machine is lost, remove the member and add a new one";
        findings.push(if answer < majority {
            Finding::error("member-unreachable", said).with_remedy(remedy)
        } else {
            Finding::warning("member-unreachable", said).with_remedy(remedy)
        });
    }
    if total > 1 && total.is_multiple_of(2) {
        findings.push(
            Finding::note(
                "even-members",
                format!(
                    "{total} members survive no more failures than {} would",
                    total - 1
                ),
            )
            .with_remedy("an odd number is cheaper and as safe"),
        );
    }
}

fn quota(title: &str, status: &StatusResponse, told: Option<u64>, findings: &mut Vec<Finding>) {
    let bytes = |number: i64| u64::try_from(number).unwrap_or_default();
    let (used, in_use) = (bytes(status.db_size), bytes(status.db_size_in_use));
    let quota = match (bytes(status.db_size_quota), told) {
        (0, Some(told)) if told > 0 => told,
        (0, _) => USUAL_QUOTA_BYTES,
        (said, _) => said,
    };
    let percent = used.saturating_mul(100) / quota.max(1);
    let said = format!(
        "the database of {title} has {} of the {} that it may have",
        size(used),
        size(quota)
    );
    let remedy =
        "compact old revisions and defragment, or raise --quota-backend-bytes (up to 8 GiB)";
    if percent >= 95 {
        findings.push(
            Finding::error(
                "near-quota",
                format!("{said}: it is about to refuse all writes"),
            )
            .with_remedy(remedy),
        );
    } else if percent >= 80 {
        findings.push(Finding::warning("near-quota", said).with_remedy(remedy));
    }
    if used >= WORTH_DEFRAGMENTING_BYTES && in_use < used / 2 {
        findings.push(
            Finding::warning(
                "fragmented",
                format!(
                    "of the {} of {title}'s database only {} are in use: every backup carries the rest",
                    size(used),
                    size(in_use)
                ),
            )
            .with_remedy("defragment one member after the other: `etcd-snap etcdctl defrag --endpoints ...`"),
        );
    }
}

fn versions(answers: &[(&Asked, &StatusResponse)], findings: &mut Vec<Finding>) {
    let mut members: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (one, status) in answers {
        members
            .entry(&status.version)
            .or_default()
            .push(one.title());
    }
    if members.len() > 1 {
        let list: Vec<_> = members
            .iter()
            .map(|(version, titles)| format!("{version} ({})", titles.join(", ")))
            .collect();
        findings.push(
            Finding::warning(
                "versions-differ",
                format!("members run different versions: {}", list.join(", ")),
            )
            .with_remedy(
                "finish the upgrade: which data a backup can be restored to depends on it",
            ),
        );
    }
    let mut clusters: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (one, status) in answers {
        let id = status.header.as_ref().map_or(0, |header| header.cluster_id);
        clusters.entry(id).or_default().push(one.title());
    }
    if clusters.len() > 1 {
        let list: Vec<_> = clusters
            .iter()
            .map(|(id, titles)| format!("{id:x} ({})", titles.join(", ")))
            .collect();
        findings.push(
            Finding::error("clusters-differ", format!("these members are of different clusters: {}", list.join(", ")))
                .with_remedy("only some of them were restored, or an endpoint is wrong: no backup is one of them all"),
        );
    }
}

/// What is in force, and blocks.
pub(super) fn of_alarms(alarms: &[AlarmMember], members: &[Member]) -> Vec<Finding> {
    let name_of = |id: u64| {
        members.iter().find(|member| member.id == id).map_or_else(
            || format!("{id:x}, which is no member any more"),
            |member| member.name.clone(),
        )
    };
    alarms
        .iter()
        .map(|alarm| {
            let name = name_of(alarm.member_id);
            match alarm.alarm() {
                AlarmType::Nospace => Finding::error(
                    "alarm-nospace",
                    format!("the alarm NOSPACE of {name} is in force: nothing can be written, only read and deleted"),
                )
                .with_remedy("compact, defragment, then `etcdctl alarm disarm`"),
                AlarmType::Corrupt => Finding::error(
                    "alarm-corrupt",
                    format!("the alarm CORRUPT of {name} is in force: it holds other data than the rest"),
                )
                .with_remedy("take no backup from it; replace the member, then disarm"),
                AlarmType::None => Finding::error(
                    "alarm-unknown",
                    format!("{name} has raised an alarm of kind {} that is not known here", alarm.alarm),
                ),
            }
        })
        .collect()
}

/// Hashes at one revision. Only those of the same compaction can be compared.
pub(super) fn of_hashes(
    hashes: &[(String, HashKvResponse)],
    revision: Revision,
) -> Option<Finding> {
    let mut by_compaction: BTreeMap<i64, BTreeMap<u32, Vec<&str>>> = BTreeMap::new();
    for (title, answer) in hashes {
        by_compaction
            .entry(answer.compact_revision)
            .or_default()
            .entry(answer.hash)
            .or_default()
            .push(title);
    }
    let groups = by_compaction
        .into_values()
        .find(|groups| groups.len() > 1)?;
    let list: Vec<_> = groups
        .iter()
        .map(|(hash, titles)| format!("{hash:08x} ({})", titles.join(", ")))
        .collect();
    Some(
        Finding::error(
            "members-differ",
            format!("members hold different data at revision {revision}: {}", list.join(", ")),
        )
        .with_remedy("find out which one is right before anything is backed up: `etcd-snap verify --against` says which a file agrees with"),
    )
}

#[cfg(test)]
mod tests {
    use etcd_snap::api::messages::ResponseHeader;

    use super::*;

    fn status() -> StatusResponse {
        StatusResponse {
            header: Some(ResponseHeader {
                cluster_id: 1,
                member_id: 1,
                revision: 10,
                raft_term: 2,
            }),
            version: "3.6.1".to_owned(),
            db_size: 1 << 20,
            db_size_in_use: 1 << 20,
            leader: 1,
            raft_index: 90_000,
            raft_applied_index: 90_000,
            ..StatusResponse::default()
        }
    }

    fn asked(id: u64, status: Result<StatusResponse, String>) -> Asked {
        Asked {
            member: Member {
                id,
                name: format!("m{id}"),
                ..Member::default()
            },
            endpoint: format!("https://10.0.0.{id}:2379"),
            status,
        }
    }

    fn codes(findings: &[Finding]) -> Vec<(&str, crate::Severity)> {
        findings
            .iter()
            .map(|finding| (finding.code.as_str(), finding.severity))
            .collect()
    }

    #[test]
    fn a_sound_cluster_has_no_findings() {
        let all: Vec<_> = (1..=3).map(|id| asked(id, Ok(status()))).collect();
        assert_eq!(of_status(&all, None), []);
    }

    #[test]
    fn each_trouble_has_its_name() {
        use crate::Severity::{Error, Note, Warning};
        type Change = fn(&mut StatusResponse);
        let table: [(Change, &str, crate::Severity); 8] = [
            (|it| it.leader = 0, "no-leader", Error),
            (|it| it.raft_applied_index = 80_000, "lagging", Warning),
            (|it| it.db_size = 1_800_000_000, "near-quota", Warning),
            (|it| it.db_size = 2_140_000_000, "near-quota", Error),
            (
                |it| (it.db_size, it.db_size_quota) = (90, 100),
                "near-quota",
                Warning,
            ),
            (|it| it.is_learner = true, "learner", Note),
            (
                |it| it.version = "3.5.9".to_owned(),
                "versions-differ",
                Warning,
            ),
            (
                |it| it.header.as_mut().unwrap().cluster_id = 2,
                "clusters-differ",
                Error,
            ),
        ];
        for (change, code, severity) in table {
            let mut odd = status();
            change(&mut odd);
            let all = [
                asked(1, Ok(status())),
                asked(2, Ok(odd)),
                asked(3, Ok(status())),
            ];
            let found = of_status(&all, None);
            let fragmented = |it: &&Finding| it.code != "fragmented";
            let found: Vec<_> = found.iter().filter(fragmented).cloned().collect();
            assert_eq!(codes(&found), [(code, severity)]);
        }
        let mut full_of_holes = status();
        full_of_holes.db_size = 300 << 20;
        assert_eq!(
            codes(&of_status(&[asked(1, Ok(full_of_holes))], None)),
            [("fragmented", Warning)]
        );
        // What the configuration says counts where the server does not.
        let mut large = status();
        large.db_size = 3 << 30;
        large.db_size_in_use = 3 << 30;
        assert_eq!(of_status(&[asked(1, Ok(large.clone()))], Some(8 << 30)), []);
        assert_eq!(
            codes(&of_status(&[asked(1, Ok(large))], None)),
            [("near-quota", Error)]
        );
    }

    #[test]
    fn a_missing_member_is_worse_where_the_majority_is_gone() {
        use crate::Severity::{Error, Warning};
        let gone = || Err("connection refused".to_owned());
        let one = [
            asked(1, Ok(status())),
            asked(2, Ok(status())),
            asked(3, gone()),
        ];
        let found = of_status(&one, None);
        assert_eq!(codes(&found), [("member-unreachable", Warning)]);
        assert!(
            found[0].message.contains("one more, and"),
            "{}",
            found[0].message
        );
        let two = [asked(1, Ok(status())), asked(2, gone()), asked(3, gone())];
        assert_eq!(
            codes(&of_status(&two, None)),
            [("member-unreachable", Error); 2]
        );
        let mut unstarted = asked(2, gone());
        unstarted.member.name.clear();
        let found = of_status(&[asked(1, Ok(status())), unstarted], None);
        assert_eq!(codes(&found)[0], ("member-not-started", Warning));
        assert!(codes(&found).contains(&("even-members", crate::Severity::Note)));
    }

    #[test]
    fn hashes_of_one_compaction_must_agree() {
        let answer = |hash, compact_revision| HashKvResponse {
            hash,
            compact_revision,
            ..HashKvResponse::default()
        };
        let agree = [
            ("m1".to_owned(), answer(7, 5)),
            ("m2".to_owned(), answer(7, 5)),
        ];
        assert_eq!(of_hashes(&agree, Revision::new(9)), None);
        let other_compaction = [
            ("m1".to_owned(), answer(7, 5)),
            ("m2".to_owned(), answer(8, 6)),
        ];
        assert_eq!(of_hashes(&other_compaction, Revision::new(9)), None);
        let differ = [
            ("m1".to_owned(), answer(7, 5)),
            ("m2".to_owned(), answer(8, 5)),
        ];
        let found = of_hashes(&differ, Revision::new(9)).unwrap();
        assert!(
            found.message.contains("00000007 (m1), 00000008 (m2)"),
            "{}",
            found.message
        );
    }

    #[test]
    fn alarms_are_those_of_members_or_of_nobody() {
        let members = [asked(1, Ok(status())).member];
        let alarms = [
            AlarmMember {
                member_id: 1,
                alarm: AlarmType::Nospace.into(),
            },
            AlarmMember {
                member_id: 9,
                alarm: AlarmType::Corrupt.into(),
            },
        ];
        let found = of_alarms(&alarms, &members);
        assert_eq!(found[0].code, "alarm-nospace");
        assert!(
            found[1].message.contains("no member any more"),
            "{}",
            found[1].message
        );
    }
}
