//! What the members of a cluster have to say of a snapshot.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Unproven;
use crate::{ClusterId, MemberId, Result, Revision};

/// What the living members of a cluster say of a snapshot, one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "members can differ: look at the verdict, or call into_proven"]
#[non_exhaustive]
pub struct AttestReport {
    /// Of this report's form: 1.
    pub schema: u32,
    /// What it comes to.
    pub verdict: AttestVerdict,
    /// The revision that was compared at: the snapshot's own.
    pub revision: Revision,
    /// The snapshot's own compaction. `None`: never compacted.
    pub compact_revision: Option<Revision>,
    /// The cluster that was asked; `None` where none was named and no member could be reached.
    pub cluster_id: Option<ClusterId>,
    /// Whether the snapshot lists any of the members that were found as members of its own cluster. If not, it is of another
    /// cluster, or this one was restored. `None` where no member was found.
    pub known_members: Option<bool>,
    /// Whether the cluster's own list of its members was to be had. Otherwise only the given endpoints were asked.
    pub listed: bool,
    /// Every member, and every given endpoint of which nobody knows to which member it leads.
    pub members: Vec<AttestedMember>,
    /// Milliseconds it took.
    pub duration_ms: u64,
}

/// What the answers of all members come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AttestVerdict {
    /// One member at least has what the snapshot has, and none has anything else: the snapshot is proven.
    Equal,
    /// One member at least has something else.
    Differs,
    /// No member could tell.
    CannotTell,
}

/// One member, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttestedMember {
    /// The member; `None` for an endpoint that did not say whose it is.
    pub member_id: Option<MemberId>,
    /// Its name, where the cluster gave one.
    pub name: Option<String>,
    /// Where it was asked; of a member that could not be asked, where that was tried last.
    pub endpoint: Option<String>,
    /// What it said.
    #[serde(flatten)]
    pub verdict: MemberVerdict,
}

/// What a member's keys are to the snapshot's, at the snapshot's revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MemberVerdict {
    /// They have the same hash.
    Equal {
        /// The hash of both.
        hash: u32,
        /// The compaction that it takes for done: the member's.
        compact_revision: Option<Revision>,
    },
    /// They have not.
    Differs {
        /// What the member says.
        member_hash: u32,
        /// What the snapshot gives.
        snapshot_hash: u32,
        /// The compaction that both take for done: the member's.
        compact_revision: Option<Revision>,
    },
    /// The member has no hash that could be compared.
    CannotTell {
        /// Why, for programs.
        reason: CannotTell,
        /// Why, in a sentence.
        message: String,
    },
}

/// Why a member cannot tell whether a snapshot is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CannotTell {
    /// A learner answers no such question.
    Learner,
    /// It has compacted the snapshot's revision away.
    CompactedPast,
    /// It only gives the hash that it has kept from an older compaction than the snapshot's.
    CachedHash,
    /// It has not got to the snapshot's revision, or to its compaction: it lags, or the snapshot is not from this cluster.
    Behind,
    /// It could not be reached, or did not answer.
    Unreachable,
    /// It wants a user with the role `root`.
    NoRight,
    /// It belongs to another cluster.
    OtherCluster,
    /// No key lives at the snapshot's revision. What counts then is what compactions have left lying about, which may
    /// differ from member to member.
    NoLiveKeys,
    /// It failed to answer.
    ServerError,
}

impl fmt::Display for AttestVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "equal",
            Self::Differs => "differs",
            Self::CannotTell => "cannot tell",
        })
    }
}

impl AttestedMember {
    /// The member, as a person would call it: by its name, else by its id, else by its endpoint.
    #[must_use]
    pub fn called(&self) -> String {
        match (&self.name, self.member_id, &self.endpoint) {
            (Some(name), ..) => name.clone(),
            (None, Some(id), _) => id.to_string(),
            (None, None, Some(endpoint)) => endpoint.clone(),
            (None, None, None) => "a member".to_owned(),
        }
    }
}

impl fmt::Display for MemberVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal { .. } => f.write_str("equal"),
            Self::Differs {
                member_hash,
                snapshot_hash,
                ..
            } => write!(
                f,
                "differs: its hash is {member_hash}, the snapshot's {snapshot_hash}"
            ),
            Self::CannotTell { message, .. } => write!(f, "cannot tell: {message}"),
        }
    }
}

impl fmt::Display for AttestedMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.called(), self.verdict)
    }
}

impl AttestReport {
    /// Members that have what the snapshot has.
    #[must_use]
    pub fn equal(&self) -> usize {
        self.count(|verdict| matches!(verdict, MemberVerdict::Equal { .. }))
    }

    /// Members that have something else.
    #[must_use]
    pub fn differing(&self) -> usize {
        self.count(|verdict| matches!(verdict, MemberVerdict::Differs { .. }))
    }

    fn count(&self, is: impl Fn(&MemberVerdict) -> bool) -> usize {
        self.members
            .iter()
            .filter(|member| is(&member.verdict))
            .count()
    }

    /// The report, if a member has what the snapshot has and none has anything else.
    ///
    /// # Errors
    /// `Unproven`, with what every other member says; an [`Unproven`] with the whole report is its source.
    pub fn into_proven(self) -> Result<Self> {
        match self.verdict {
            AttestVerdict::Equal => Ok(self),
            _ => Err(Unproven::new(self).into_error("the snapshot", "")),
        }
    }

    /// `1 of 3 members differs`.
    #[must_use]
    pub fn summary(&self) -> String {
        let all = match self.members.len() {
            1 => "1 member".to_owned(),
            members => format!("{members} members"),
        };
        match (self.verdict, self.differing()) {
            (AttestVerdict::Equal, _) => format!("{} of {all} equal", self.equal()),
            (AttestVerdict::Differs, 1) => format!("1 of {all} differs"),
            (AttestVerdict::Differs, differing) => format!("{differing} of {all} differ"),
            (AttestVerdict::CannotTell, _) => format!("none of {all} can tell"),
        }
    }

    /// What the verdict is, once the members have one each.
    #[cfg(any(feature = "client", test))]
    pub(super) fn verdict_of(members: &[AttestedMember]) -> AttestVerdict {
        let verdicts = || members.iter().map(|member| &member.verdict);
        if verdicts().any(|verdict| matches!(verdict, MemberVerdict::Differs { .. })) {
            AttestVerdict::Differs
        } else if verdicts().any(|verdict| matches!(verdict, MemberVerdict::Equal { .. })) {
            AttestVerdict::Equal
        } else {
            AttestVerdict::CannotTell
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn member(verdict: MemberVerdict) -> AttestedMember {
        AttestedMember {
            member_id: Some(MemberId::new(0x8e9e_05c5_2164_694d)),
            name: None,
            endpoint: Some("http://a:1".to_owned()),
            verdict,
        }
    }

    fn equal() -> AttestedMember {
        member(MemberVerdict::Equal {
            hash: 1,
            compact_revision: None,
        })
    }

    fn differs() -> AttestedMember {
        member(MemberVerdict::Differs {
            member_hash: 1,
            snapshot_hash: 2,
            compact_revision: Some(Revision::new(3)),
        })
    }

    fn silent() -> AttestedMember {
        member(MemberVerdict::CannotTell {
            reason: CannotTell::Unreachable,
            message: "nobody is there".to_owned(),
        })
    }

    pub(crate) fn report(members: Vec<AttestedMember>) -> AttestReport {
        AttestReport {
            schema: 1,
            verdict: AttestReport::verdict_of(&members),
            revision: Revision::new(7),
            compact_revision: None,
            cluster_id: None,
            known_members: None,
            listed: true,
            members,
            duration_ms: 0,
        }
    }

    #[test]
    fn one_that_differs_outweighs_all_and_one_that_is_equal_those_who_cannot_tell() {
        for (members, verdict, words) in [
            (
                vec![],
                AttestVerdict::CannotTell,
                "none of 0 members can tell",
            ),
            (
                vec![silent()],
                AttestVerdict::CannotTell,
                "none of 1 member can tell",
            ),
            (
                vec![silent(), equal()],
                AttestVerdict::Equal,
                "1 of 2 members equal",
            ),
            (
                vec![equal(), differs(), silent()],
                AttestVerdict::Differs,
                "1 of 3 members differs",
            ),
            (
                vec![differs(), differs()],
                AttestVerdict::Differs,
                "2 of 2 members differ",
            ),
        ] {
            let report = report(members);
            assert_eq!(report.verdict, verdict);
            assert_eq!(report.summary(), words);
            assert_eq!(
                report.into_proven().is_ok(),
                verdict == AttestVerdict::Equal
            );
        }
    }

    #[test]
    fn the_error_has_the_report() {
        use std::error::Error as _;

        let report = report(vec![differs(), silent()]);
        let error = report.clone().into_proven().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unproven);
        assert_eq!(
            error.to_string(),
            "the snapshot is not proven: 1 of 2 members differs at revision 7"
        );
        let source = error.source().unwrap();
        assert_eq!(
            source.to_string(),
            "8e9e05c52164694d: differs: its hash is 1, the snapshot's 2; \
             8e9e05c52164694d: cannot tell: nobody is there"
        );
        let unproven = source.downcast_ref::<Unproven>().unwrap();
        assert_eq!(unproven.attest, report);
    }

    #[test]
    fn json_can_be_matched_and_read_back() {
        let report = report(vec![equal(), differs(), silent()]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["verdict"], "differs");
        assert_eq!(json["members"][0]["verdict"], "equal");
        assert_eq!(json["members"][1]["member_hash"], 1);
        assert_eq!(json["members"][2]["verdict"], "cannot-tell");
        assert_eq!(json["members"][2]["reason"], "unreachable");
        assert_eq!(json["members"][2]["member_id"], "8e9e05c52164694d");
        assert_eq!(
            serde_json::from_value::<AttestReport>(json).unwrap(),
            report
        );
    }
}
