//! A drill, to read.

use std::time::Duration;

use comfy_table::{CellAlignment, Table};
use etcd_snap_node::{AgeFrom, DrillFacts, DrillOutcome, DrillReport, DrillStep, DrillVerdict};

use crate::render::{self, Render, attest, text};

/// What a drill measures.
const TOTAL: &str = "total (RTO)";

impl Render for DrillReport {
    fn simple(&self) -> String {
        let mut said = format!("{}\n", verdict(self));
        if let Some(remedy) = &self.remedy {
            said.push_str(&format!("  {}\n", text::visible(remedy)));
        }
        let steps = self.steps.iter().map(|step| {
            let words = match step.outcome {
                DrillOutcome::Passed => step.detail.clone(),
                outcome => format!("{}: {}", word(outcome), step.detail),
            };
            (step.title.clone(), duration(step.duration_ms), words)
        });
        let steps: Vec<_> = steps.collect();
        let title = steps.iter().map(|(title, ..)| title.len()).max();
        let title = title.unwrap_or_default();
        for (name, took, words) in &steps {
            said.push_str(&format!(
                "  {name:<title$}  {took:>8}  {}\n",
                text::visible(words)
            ));
        }
        said.push_str(&format!(
            "  {:<title$}  {:>8}  {}\n",
            TOTAL,
            duration(self.total_ms),
            total(self)
        ));
        said.push_str(&render::lines(&facts(self)));
        said
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("verdict", verdict(self))];
        rows.extend(facts(self));
        let mut tables = vec![render::pairs(rows), steps(self)];
        if !self.conditions.is_empty() {
            let mut conditions = render::frame();
            conditions.set_header(["CONDITION", "OUTCOME", "FOUND"]);
            for it in &self.conditions {
                conditions.add_row([
                    text::visible(&it.condition),
                    word(it.outcome).to_owned(),
                    text::visible(&it.detail),
                ]);
            }
            tables.push(conditions);
        }
        if !self.members.is_empty() {
            let mut members = render::frame();
            members.set_header(["MEMBER", "ID", "HASHKV EXPECTED", "HASHKV FOUND"]);
            for member in &self.members {
                let hash = |hash: Option<u32>| hash.map_or_else(String::new, |it| it.to_string());
                members.add_row([
                    text::visible(&member.name),
                    member.member_id.to_string(),
                    hash(member.hash_kv.map(|it| it.expected)),
                    hash(member.hash_kv.map(|it| it.found)),
                ]);
            }
            tables.push(members);
        }
        tables
    }
}

fn verdict(report: &DrillReport) -> String {
    let words = match report.verdict {
        DrillVerdict::Passed => "Drill passed",
        DrillVerdict::NotBooted => "Drill not booted",
        _ => "Drill failed",
    };
    match &report.reason {
        Some(reason) => format!("{words}: {}", text::visible(reason)),
        None => words.to_owned(),
    }
}

fn steps(report: &DrillReport) -> Table {
    let mut table = render::frame();
    table.set_header(["STEP", "TIME", "OUTCOME", "FOUND"]);
    let row = |step: &DrillStep| {
        [
            step.title.clone(),
            duration(step.duration_ms),
            word(step.outcome).to_owned(),
            text::visible(&step.detail),
        ]
    };
    for step in &report.steps {
        table.add_row(row(step));
    }
    table.add_row([
        TOTAL.to_owned(),
        duration(report.total_ms),
        report.verdict.words().to_owned(),
        total(report),
    ]);
    if let Some(times) = table.column_mut(1) {
        times.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What the total is good for.
fn total(report: &DrillReport) -> String {
    match report.serving_ms {
        Some(serving) => format!("the members served after {}", duration(serving)),
        None => "without a server".to_owned(),
    }
}

fn word(outcome: DrillOutcome) -> &'static str {
    match outcome {
        DrillOutcome::Passed => "passed",
        DrillOutcome::Failed => "failed",
        _ => "skipped",
    }
}

fn facts(report: &DrillReport) -> Vec<(&'static str, String)> {
    let snapshot = &report.snapshot;
    let mut facts = vec![("snapshot", snapshot.path.clone())];
    let mut known = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    known("size", snapshot.size_bytes.map(text::size));
    known("SHA-256", snapshot.digest.map(|it| it.to_string()));
    known(
        "revision",
        snapshot
            .revision
            .map(|it| render::revision(it, snapshot.compact_revision)),
    );
    known("keys", snapshot.keys.map(|it| it.to_string()));
    known(
        "members",
        (!snapshot.members.is_empty()).then(|| snapshot.members.join(", ")),
    );
    known("version", snapshot.cluster_version.clone());
    known("cluster id", snapshot.cluster_id.map(|it| it.to_string()));
    known("age", age(snapshot));
    known(
        "etcd",
        report.etcd.as_ref().map(|etcd| {
            let version = etcd.version.as_deref().unwrap_or("of an unknown version");
            format!("{version}, {}", etcd.path.display())
        }),
    );
    for condition in &report.conditions {
        facts.push((
            "condition",
            format!(
                "{}: {}, {}",
                condition.condition,
                word(condition.outcome),
                condition.detail
            ),
        ));
    }
    if let Some(attested) = &report.attest {
        facts.extend(attest::rows(attested));
    }
    facts.extend(report.notes.iter().map(|note| ("note", note.clone())));
    facts
}

fn age(snapshot: &DrillFacts) -> Option<String> {
    let age = text::duration(Duration::from_secs(snapshot.age_seconds?));
    let from = match snapshot.age_from? {
        AgeFrom::Manifest => "by its manifest",
        _ => "by the time of its file",
    };
    Some(format!("{age}, {from}"))
}

fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        _ => text::duration(Duration::from_millis(milliseconds)),
    }
}
