//! A save, to read.

use std::time::Duration;

use comfy_table::Table;
use etcd_snap::{ProofKind, SaveReport};

use crate::render::{self, Render, attest, text};

impl Render for SaveReport {
    fn simple(&self) -> String {
        // The first line is etcdctl's: scripts look for it.
        let mut lines = match &self.path {
            Some(_) => format!("Snapshot saved at {}\n", path(self)),
            None => "Snapshot written to standard output\n".to_owned(),
        };
        lines.push_str(&render::lines(&facts(self)));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("saved at", path(self))];
        rows.extend(facts(self));
        let known = [
            ("member id", self.member_id.map(|id| id.to_string())),
            ("cluster id", self.cluster_id.map(|id| id.to_string())),
            ("storage version", self.storage_version.clone()),
        ];
        rows.extend(
            known
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(contents) = &self.contents {
            rows.push(("hash", format!("{:x}", contents.hash)));
        }
        rows.push(("SHA-256", self.digest.to_string()));
        let durations = &self.durations;
        rows.extend([
            ("connected in", seconds(durations.connect_ms)),
            ("received in", seconds(durations.receive_ms)),
            ("checked in", seconds(durations.check_ms)),
            ("published in", seconds(durations.publish_ms)),
        ]);
        vec![render::pairs(rows)]
    }
}

fn facts(report: &SaveReport) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(endpoint) = &report.endpoint {
        facts.push(("from", endpoint.clone()));
    }
    for passed in &report.passed_over {
        facts.push(("not used", passed.message.clone()));
    }
    if let Some(version) = &report.etcd_version {
        facts.push(("etcd", version.clone()));
    }
    if let Some(contents) = &report.contents {
        facts.extend([
            (
                "revision",
                render::revision(contents.revision, contents.compact_revision),
            ),
            (
                "keys",
                render::keys(contents.live_keys, contents.total_records),
            ),
        ]);
    }
    facts.push(("size", text::size(report.size_bytes)));
    if report.proof != ProofKind::Full {
        facts.push(("proven", render::STREAM_PROOF.to_owned()));
    }
    if let Some(report) = &report.attest {
        facts.extend(attest::rows(report));
    }
    facts
}

fn path(report: &SaveReport) -> String {
    match &report.path {
        Some(path) => text::visible(&path.display().to_string()),
        None => "standard output".to_owned(),
    }
}

fn seconds(milliseconds: u64) -> String {
    text::duration(Duration::from_millis(milliseconds))
}
