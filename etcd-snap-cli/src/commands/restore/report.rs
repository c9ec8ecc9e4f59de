//! A restore, to read, and its report beside what it made.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::Table;
use etcd_snap::{Bumped, Dropped, Manifest, RestoreReport, Seen};
use serde::Serialize;

use super::arguments::Arguments;
use crate::journal;
use crate::render::{self, Render, text};

/// The report of several members, in the directory that they are in.
pub(super) const OF_SEVERAL: &str = "restore-report.json";

/// What has caches that may be ahead of the restored data.
const RESTART: [&str; 5] = [
    "kube-apiserver, on every control plane node",
    "kube-controller-manager and kube-scheduler, on every control plane node",
    "kubelet and kube-proxy, on every node",
    "network and storage plug-ins, on every node",
    "operators and whatever else watches the API",
];

/// What was made, and what is to be done about it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    restore: RestoreReport,
    /// Flags that would say the same again, for what nobody said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    again: Vec<String>,
    /// What is to be restarted when etcd runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    restart: Vec<&'static str>,
    /// When the snapshot was taken, as its manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_at: Option<String>,
}

impl Report {
    pub(super) fn new(
        restore: RestoreReport,
        mut again: Vec<String>,
        arguments: &Arguments,
        manifest: Option<Manifest>,
    ) -> Self {
        if let Some(bump) = restore.bump.as_ref().filter(|bump| bump.automatic) {
            again.push(format!("--bump-revision {} --mark-compacted", bump.by));
        }
        let restart = match arguments.kubernetes {
            true => RESTART.to_vec(),
            false => Vec::new(),
        };
        Self {
            restore,
            again,
            restart,
            saved_at: manifest.and_then(|manifest| manifest.saved_at),
        }
    }

    /// Says what a person should know beside the report.
    pub(super) fn warn(&self) {
        let bump = self.restore.bump.iter().flat_map(|bump| &bump.notes);
        for note in self.restore.notes.iter().chain(bump) {
            journal::warning(note);
        }
    }

    /// Puts the library's report beside what was made. The members are there whether that works or not.
    pub(super) fn write_beside(&self, output_dir: Option<&Path>) {
        let paths: Vec<PathBuf> = match output_dir {
            Some(output_dir) => vec![output_dir.join(OF_SEVERAL)],
            None => {
                let members = self.restore.members.iter();
                members.map(|member| beside(&member.data_dir)).collect()
            }
        };
        for path in paths {
            if let Err(error) = self.restore.write_to(&path) {
                let failure = crate::failure::Failure::from(error);
                let why = failure.sentence().map(|(sentence, _)| sentence);
                journal::warning(&format!(
                    "the members are restored, and their report is not written: {}",
                    why.unwrap_or_default()
                ));
            }
        }
    }
}

/// Where the report of one member lies.
pub(super) fn beside(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.as_os_str().to_owned();
    name.push(".restore-report.json");
    name.into()
}

impl Render for Report {
    fn simple(&self) -> String {
        let mut lines = String::new();
        for member in &self.restore.members {
            let done = match self.restore.dry_run {
                true => "would be restored",
                false => "restored",
            };
            lines.push_str(&format!(
                "Member {} {done} in {}\n",
                text::visible(&member.name),
                path(&member.data_dir)
            ));
        }
        lines.push_str(&render::lines(&facts(self)));
        if !self.restart.is_empty() {
            lines.push_str("Restart when etcd runs, as they have seen what is gone:\n");
            for what in &self.restart {
                lines.push_str(&format!("  {what}\n"));
            }
        }
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let report = &self.restore;
        let mut rows = Vec::new();
        for member in &report.members {
            rows.push(("member", member.name.clone()));
            rows.push(("member id", member.member_id.to_string()));
            rows.push(("peer URLs", member.peer_urls.join(", ")));
            rows.push(("data directory", path(&member.data_dir)));
            rows.push(("WAL directory", path(&member.wal_dir)));
        }
        rows.push(("initial cluster", report.initial_cluster.clone()));
        rows.push(("token", report.initial_cluster_token.clone()));
        rows.extend(facts(self));
        rows.push((
            "done in",
            text::duration(Duration::from_millis(report.duration_ms)),
        ));
        rows.extend(
            self.restart
                .iter()
                .map(|what| ("restart", (*what).to_owned())),
        );
        vec![render::pairs(rows)]
    }
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let restore = &report.restore;
    let contents = &restore.contents;
    let mut facts = vec![
        ("cluster id", restore.cluster_id.to_string()),
        (
            "revision",
            render::revision(contents.revision, contents.compact_revision),
        ),
    ];
    if contents.revision != restore.snapshot_revision {
        facts.push(("in the snapshot", restore.snapshot_revision.to_string()));
    }
    if let Some(bump) = restore.bump.as_ref().filter(|_| restore.dry_run) {
        facts.push(("it would be at", bump.revision.to_string()));
    }
    for replaced in restore
        .members
        .iter()
        .filter_map(|member| member.replaced.as_ref())
    {
        facts.push(("old member", path(&replaced.member_dir)));
        facts.extend(
            replaced
                .wal_dir
                .iter()
                .map(|wal_dir| ("old WAL", path(wal_dir))),
        );
    }
    if let Some(bump) = restore.bump.as_ref().filter(|bump| bump.automatic) {
        facts.extend(reasons(bump));
    }
    if let Some(saved_at) = &report.saved_at {
        facts.push(("taken at", saved_at.clone()));
    }
    facts.extend([
        (
            "keys",
            render::keys(contents.live_keys, contents.total_records),
        ),
        ("size", text::size(restore.database_bytes)),
        (
            "digest",
            match restore.digest {
                Some(_) => "matches",
                None => "not compared",
            }
            .into(),
        ),
    ]);
    if !restore.problems.is_empty() {
        let problems = (restore.problems.len() as u64).saturating_add(restore.more_problems);
        facts.push(("damaged", text::count(problems, "problem")));
    }
    let leases = restore.found.leases.count;
    if leases > restore.dropped.leases {
        let begin = format!("{}, which begin anew", text::count(leases, "lease"));
        facts.push(("comes back", begin));
    }
    facts.extend(left_out(&restore.dropped));
    facts.extend(
        report
            .again
            .iter()
            .map(|flag| ("the same again", flag.clone())),
    );
    facts
}

/// What was in the snapshot and is not in the new members.
fn left_out(dropped: &Dropped) -> Vec<(&'static str, String)> {
    let mut what = Vec::new();
    if !dropped.alarms.is_empty() {
        what.push(text::count(dropped.alarms.len() as u64, "alarm"));
    }
    if dropped.leases > 0 || dropped.leased_keys > 0 {
        what.push(text::count(dropped.leases, "lease"));
        what.push(text::count(dropped.leased_keys, "key"));
    }
    if dropped.downgrade {
        what.push("a downgrade".to_owned());
    }
    if dropped.free_bytes > 0 {
        what.push(format!("{} of free pages", text::size(dropped.free_bytes)));
    }
    match what.is_empty() {
        true => Vec::new(),
        false => vec![("left out", what.join(", "))],
    }
}

/// Where the number comes from.
fn reasons(bump: &Bumped) -> Vec<(&'static str, String)> {
    match bump.seen.is_empty() {
        true => vec![(
            "clients saw",
            "unknown: moved ahead by a billion".to_owned(),
        )],
        false => {
            let seen = bump.seen.iter().map(Seen::to_string);
            seen.map(|seen| ("clients saw", seen)).collect()
        }
    }
}

pub(super) fn path(path: &Path) -> String {
    text::visible(&path.display().to_string())
}
