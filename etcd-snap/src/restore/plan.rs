//! What a restore is to make, written down once for all nodes of a cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::database::expected_digest;
use super::{MemberTarget, RestoreOptions};
use crate::io::{Disk, Replace, StagedFile, Storage, write_whole};
use crate::observe::Observer;
use crate::verify::hash;
use crate::{Bump, Digest, Error, NewCluster, PeerUrls, Result, Snapshot};

/// The form of plans that this version reads and writes.
const SCHEMA: u32 = 1;

/// Who the new members are and what they are made of: the same on every node, so that members whose directories are made in
/// several runs do not differ.
///
/// It holds no automatic value, only what was decided. As text its fields are named like the flags of the command; one that this
/// version does not know is refused, because leaving it out would make another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct RestorePlan {
    /// Of this form: 1.
    pub schema: u32,
    /// The SHA-256 of the snapshot's database: the digest at the end of its file.
    pub snapshot_sha256: Digest,
    /// The word that the ids are made with.
    pub initial_cluster_token: String,
    /// All members of the new cluster.
    pub members: Vec<PlannedMember>,
    /// How many revisions the store is moved ahead; 0: not at all.
    #[serde(default)]
    pub bump_revision: u64,
    /// Whether what is before the bumped revision is marked as compacted.
    #[serde(default)]
    pub mark_compacted: bool,
    /// Whether a file without digest, or with a wrong one, is taken.
    #[serde(default)]
    pub skip_hash_check: bool,
    /// Whether alarms are left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_alarms: bool,
    /// Whether leases, and the keys that hang on them, are left out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub drop_leases: bool,
    /// Whether only pages in use are written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub squeeze: bool,
    /// The minor that the data is prepared for, like `3.5.0`; `None` where it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_version: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A member in a [`RestorePlan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct PlannedMember {
    /// Its name.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Where its data goes on its node; `None` where each run says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Where its WAL goes on its node, if not into the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_dir: Option<PathBuf>,
}

impl RestorePlan {
    /// The plan of a restore whose values are all decided.
    ///
    /// # Errors
    /// `InvalidInput` where the bump is not decided yet: [`decide_bump`](crate::decide_bump) does.
    pub fn new(digest: Digest, cluster: &NewCluster, options: &RestoreOptions) -> Result<Self> {
        let bump_revision = match options.bump {
            Bump::None => 0,
            Bump::By(by) => by,
            Bump::Above(_) | Bump::Automatic => {
                return Err(Error::invalid(
                    "a plan holds how far the revision is moved ahead as a number: decide on it first",
                ));
            }
        };
        let mut members: Vec<_> = cluster
            .members()
            .iter()
            .map(|member| PlannedMember {
                name: member.name().to_owned(),
                peer_urls: member.peer_urls().iter().map(ToString::to_string).collect(),
                data_dir: None,
                wal_dir: None,
            })
            .collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self {
            schema: SCHEMA,
            snapshot_sha256: digest,
            initial_cluster_token: cluster.token().to_owned(),
            members,
            bump_revision,
            mark_compacted: options.mark_compacted,
            skip_hash_check: options.skip_hash_check,
            drop_alarms: options.drop_alarms,
            drop_leases: options.drop_leases,
            squeeze: options.squeeze,
            target_version: options.target_version.map(|version| version.to_string()),
        })
    }

    /// What identifies a snapshot in a plan: its digest, or the SHA-256 of its database where there is none, or where it is not to
    /// be believed.
    ///
    /// # Errors
    /// Where the file cannot be read, or the observer asked to stop.
    pub fn digest_of(
        snapshot: &Snapshot,
        options: &RestoreOptions,
        observer: &dyn Observer,
    ) -> Result<Digest> {
        match expected_digest(snapshot, options) {
            Some(digest) => Ok(digest),
            None => hash(snapshot, observer),
        }
    }

    /// The new cluster.
    ///
    /// # Errors
    /// `InvalidInput` where names or URLs cannot be those of a cluster, or the plan is of another form.
    pub fn cluster(&self) -> Result<NewCluster> {
        if self.schema != SCHEMA {
            return Err(Error::invalid(format!(
                "the plan has the form {}, and this version knows {SCHEMA}: use the version that wrote it",
                self.schema
            )));
        }
        if self.initial_cluster_token.is_empty() {
            return Err(Error::invalid(
                "the plan has an empty token: write a word that no cluster had before",
            ));
        }
        let mut pieces = Vec::new();
        for (n, member) in self.members.iter().enumerate() {
            let name = &member.name;
            if name.is_empty() || name.contains([',', '=']) {
                return Err(Error::invalid(format!(
                    "the plan names a member {name:?}: a name has no comma and no equals sign, and is not empty"
                )));
            }
            if self.members.iter().take(n).any(|other| other.name == *name) {
                return Err(Error::invalid(format!(
                    "the plan names the member {name:?} twice"
                )));
            }
            if member.peer_urls.is_empty() {
                return Err(Error::invalid(format!(
                    "the plan gives the member {name:?} no peer URL"
                )));
            }
            for url in &member.peer_urls {
                // A comma would begin another member.
                PeerUrls::parse(url)?;
                if url.contains(',') {
                    return Err(Error::invalid(format!(
                        "{url:?} is not one peer URL: write each on a line of its own"
                    )));
                }
                pieces.push(format!("{name}={}", url.trim()));
            }
        }
        NewCluster::parse(&pieces.join(","), &self.initial_cluster_token)
    }

    /// The options that are the same for all members.
    ///
    /// # Errors
    /// `InvalidInput` where the version is none.
    pub fn options(&self) -> Result<RestoreOptions> {
        let bump = match self.bump_revision {
            0 => Bump::None,
            by => Bump::By(by),
        };
        let options = RestoreOptions::default()
            .with_bump(bump)
            .with_mark_compacted(self.mark_compacted)
            .with_skip_hash_check(self.skip_hash_check)
            .with_drop_alarms(self.drop_alarms)
            .with_drop_leases(self.drop_leases)
            .with_squeeze(self.squeeze);
        Ok(match &self.target_version {
            Some(version) => options.with_target_version(version.parse()?),
            None => options,
        })
    }

    /// What the plan says of a member.
    ///
    /// # Errors
    /// `InvalidInput` where it names no such member.
    pub fn member(&self, name: &str) -> Result<&PlannedMember> {
        let found = self.members.iter().find(|member| member.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self.members.iter().map(|it| it.name.as_str()).collect();
            Error::invalid(format!(
                "the plan has no member {name:?}, only {}",
                names.join(", ")
            ))
        })
    }

    /// Makes sure that a snapshot is the one of the plan: members of one cluster come from one file.
    ///
    /// # Errors
    /// `InvalidInput` where it is another.
    pub fn require_snapshot(&self, snapshot: &Snapshot, digest: Digest) -> Result<()> {
        if digest == self.snapshot_sha256 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} is not the snapshot of the plan: its SHA-256 is {digest}, and the plan was made for {}; all members have to come \
             from the same file",
            snapshot.name(),
            self.snapshot_sha256
        ))
        .with_detail("expected", self.snapshot_sha256.to_string())
        .with_detail("found", digest.to_string()))
    }
}

impl PlannedMember {
    /// Where the plan puts the member, if it says so.
    #[must_use]
    pub fn target(&self) -> Option<MemberTarget> {
        let target = MemberTarget::new(&self.name, self.data_dir.as_ref()?);
        Some(match &self.wal_dir {
            Some(wal_dir) => target.with_wal_dir(wal_dir),
            None => target,
        })
    }
}

/// The file of a new plan. It has its name, for other nodes to read, and loses it again when this is dropped without being
/// [kept](Self::keep): a plan of a restore that failed is of no use to anybody.
#[derive(Debug)]
pub struct PlanFile {
    staged: Option<StagedFile>,
}

impl PlanFile {
    /// Writes the text of a plan to a file that is not there yet. It appears whole, and is on the disk then.
    ///
    /// # Errors
    /// `Occupied` where something has the name, and those of the disk.
    pub fn create(path: impl AsRef<Path>, text: &str) -> Result<Self> {
        let disk: Arc<dyn Storage> = Arc::new(Disk);
        let staged = write_whole(&disk, path.as_ref(), text.as_bytes(), Replace::No)?;
        Ok(Self {
            staged: Some(staged),
        })
    }

    /// The restore that it describes has been done.
    pub fn keep(mut self) {
        self.staged = None;
    }
}

impl Drop for PlanFile {
    fn drop(&mut self) {
        if let Some(staged) = &mut self.staged {
            staged.retract();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Silent, StorageVersion};

    fn cluster() -> NewCluster {
        NewCluster::parse(
            "m2=https://b:2380,m1=https://a:2380,m1=https://a:2381",
            "fresh",
        )
        .unwrap()
    }

    fn plan() -> RestorePlan {
        let options = RestoreOptions::default()
            .with_bump(Bump::By(7))
            .with_mark_compacted(true)
            .with_drop_leases(true)
            .with_target_version(StorageVersion::V3_5);
        RestorePlan::new(Digest::new([7; 32]), &cluster(), &options).unwrap()
    }

    #[test]
    fn a_plan_leads_to_the_restore_that_it_was_made_of() {
        let plan = plan();
        assert_eq!(plan.cluster().unwrap(), cluster());
        let options = plan.options().unwrap();
        assert!(options.drop_leases && !options.drop_alarms);
        assert_eq!(options.target_version, Some(StorageVersion::V3_5));
        assert_eq!((options.bump, options.mark_compacted), (Bump::By(7), true));
        let text = serde_json::to_string(&plan).unwrap();
        assert!(text.contains(r#""bump-revision":7"#), "{text}");
        assert_eq!(serde_json::from_str::<RestorePlan>(&text).unwrap(), plan);
        assert_eq!(plan.member("m1").unwrap().peer_urls.len(), 2);
        assert_eq!(plan.member("m1").unwrap().target(), None);
        let undecided = RestoreOptions::default().with_bump(Bump::Automatic);
        assert!(RestorePlan::new(plan.snapshot_sha256, &cluster(), &undecided).is_err());
    }

    #[test]
    fn what_cannot_be_a_cluster_is_refused() {
        type Change = fn(&mut RestorePlan);
        let changes: [(Change, &str); 9] = [
            (|plan| plan.schema = 2, "this version knows 1"),
            (|plan| plan.initial_cluster_token.clear(), "empty token"),
            (|plan| plan.members.clear(), "names no member"),
            (|plan| plan.members[0].name = "a=b".into(), "no equals sign"),
            (|plan| plan.members[0].name.clear(), "is not empty"),
            (|plan| plan.members[1].name = "m1".into(), "\"m1\" twice"),
            (|plan| plan.members[0].peer_urls.clear(), "no peer URL"),
            (
                |plan| plan.members[0].peer_urls[0] = "http://a:1,http://c:1".into(),
                "not one peer URL",
            ),
            (
                |plan| plan.members[0].peer_urls[0] = "http://a:1/".into(),
                "remove \"/\"",
            ),
        ];
        for (change, words) in changes {
            let mut plan = plan();
            change(&mut plan);
            let error = plan.cluster().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = plan().member("m9").unwrap_err();
        assert!(error.to_string().contains("only m1, m2"), "{error}");
    }

    #[test]
    fn another_snapshot_than_the_planned_one_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let snapshot = Snapshot::open(folder.join("../testdata/snapshots/3.6.db")).unwrap();
        let options = RestoreOptions::default();
        let digest = RestorePlan::digest_of(&snapshot, &options, &Silent).unwrap();
        assert_eq!(Some(digest), snapshot.digest());
        let skipping = options.with_skip_hash_check(true);
        let hashed = RestorePlan::digest_of(&snapshot, &skipping, &Silent).unwrap();
        assert_eq!(hashed, digest);
        let mut plan = plan();
        let error = plan.require_snapshot(&snapshot, digest).unwrap_err();
        assert!(error.to_string().contains("the same file"), "{error}");
        plan.snapshot_sha256 = digest;
        plan.require_snapshot(&snapshot, digest).unwrap();
    }

    #[test]
    fn the_file_of_a_plan_stays_only_if_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        drop(PlanFile::create(&path, "first").unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        PlanFile::create(&path, "second").unwrap().keep();
        let error = PlanFile::create(&path, "third").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Occupied);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
