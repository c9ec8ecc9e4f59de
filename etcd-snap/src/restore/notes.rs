//! What somebody who starts the new cluster should know, in sentences.

use super::{Inventory, RestoreOptions};

pub(super) fn notes(found: &Inventory, options: &RestoreOptions) -> Vec<String> {
    let mut notes = Vec::new();
    if !options.drop_alarms {
        notes.extend(alarms(found));
    }
    if found.auth.enabled {
        let root = if found.auth.has_root {
            "the passwords of the old cluster apply, root's too"
        } else {
            "there is no user root, so nobody can change users or roles"
        };
        notes.push(format!("users must log in, as in the old cluster: {root}"));
    }
    notes.extend(size(found, options));
    if let Some(target) = &found.downgrade {
        notes.push(format!(
            "a downgrade to {target} was under way in the old cluster; the new one does not know of it"
        ));
    }
    let learners = found.members.iter().filter(|member| member.is_learner);
    let learners: Vec<_> = learners
        .map(|member| match member.name.as_str() {
            "" => member.member_id.to_string(),
            name => name.to_owned(),
        })
        .collect();
    if !learners.is_empty() {
        notes.push(format!(
            "in the old cluster {} had no vote (learner); all members of the new one vote",
            learners.join(", ")
        ));
    }
    if let Some(revision) = found.unfinished_compaction {
        notes.push(format!(
            "a compaction up to revision {revision} was under way; the new members finish it when they start"
        ));
    }
    notes
}

fn alarms(found: &Inventory) -> impl Iterator<Item = String> + '_ {
    /// More say nothing new.
    const SAID: usize = 10;
    found.alarms.iter().take(SAID).map(|alarm| {
        let effect = match alarm.kind.as_str() {
            "NOSPACE" | "CORRUPT" => "blocks writes",
            _ => "stays in force",
        };
        format!(
            "the {} alarm of member {}, which no longer exists, {effect} until somebody disarms it: --drop-alarms leaves it out",
            alarm.kind, alarm.member_id
        )
    })
}

fn size(found: &Inventory, options: &RestoreOptions) -> Option<String> {
    if found.size_bytes < found.quota_bytes {
        return None;
    }
    let quota = match options.quota_bytes {
        Some(_) => "the quota",
        None => "etcd's default quota",
    };
    let over = format!(
        "the database has {} bytes, and {quota} is {}: the first write raises NOSPACE; ",
        found.size_bytes, found.quota_bytes
    );
    let left = found.size_bytes.saturating_sub(found.free_bytes);
    Some(if options.rewrites() || left >= found.quota_bytes {
        over + "start the members with a larger --quota-backend-bytes"
    } else {
        over + &format!(
            "--squeeze would bring it to about {left}, or start the members with a larger --quota-backend-bytes"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::{FoundAlarm, FoundMember};
    use super::*;
    use crate::{MemberId, Revision};

    #[test]
    fn nothing_odd_needs_no_words() {
        let found = Inventory {
            size_bytes: 20 << 20,
            quota_bytes: Inventory::DEFAULT_QUOTA_BYTES,
            ..Inventory::default()
        };
        assert_eq!(notes(&found, &RestoreOptions::default()), [""; 0]);
    }

    #[test]
    fn each_finding_says_what_it_means_and_what_to_do() {
        let mut found = Inventory {
            size_bytes: 3 << 30,
            free_bytes: 2 << 30,
            quota_bytes: Inventory::DEFAULT_QUOTA_BYTES,
            downgrade: Some("3.5.0".to_owned()),
            unfinished_compaction: Some(Revision::new(7)),
            ..Inventory::default()
        };
        found.alarms = ["NOSPACE", "CORRUPT"]
            .map(|kind| FoundAlarm {
                member_id: MemberId::new(0xab),
                kind: kind.to_owned(),
            })
            .into();
        found.auth.enabled = true;
        found.members = vec![FoundMember {
            member_id: MemberId::new(2),
            name: "m2".to_owned(),
            peer_urls: Vec::new(),
            is_learner: true,
        }];
        let said = notes(&found, &RestoreOptions::default()).join("\n");
        for words in [
            "NOSPACE alarm of member ab, which no longer exists, blocks writes",
            "CORRUPT alarm of member ab, which no longer exists, blocks writes",
            "no user root",
            "--squeeze would bring it to about 1073741824",
            "a downgrade to 3.5.0",
            "m2 had no vote",
            "up to revision 7",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        let options = RestoreOptions::default()
            .with_drop_alarms(true)
            .with_quota_bytes(1 << 20);
        found.quota_bytes = 1 << 20;
        found.auth.has_root = true;
        let said = notes(&found, &options).join("\n");
        assert!(!said.contains("alarm"), "{said}");
        assert!(said.contains("and the quota is 1048576"), "{said}");
        assert!(
            said.contains("root's too") && !said.contains("--squeeze"),
            "{said}"
        );
    }
}
