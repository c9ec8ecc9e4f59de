//! A plan, to read at night.

use std::fmt::Write as _;

use comfy_table::Table;
use console::{Style, Term};
use etcd_snap_node::{FileChange, Recovery, RecoveryTarget};
use serde::Serialize;

use super::Arguments;
use crate::render::{self, Render, findings, text};

/// What would be done.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Plan<'a> {
    recovery: &'a Recovery,
    #[serde(skip)]
    plan_file: Option<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(recovery: &'a Recovery, arguments: &Arguments) -> Self {
        Self {
            recovery,
            plan_file: arguments
                .plan_file
                .as_ref()
                .map(|path| path.display().to_string()),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let recovery = self.recovery;
        let etcd = &recovery.etcd;
        let mut facts = Vec::new();
        if let Some(version) = &etcd.version {
            facts.push(("etcd", format!("{} ({})", version.text, version.from)));
        }
        match &recovery.target {
            RecoveryTarget::InPlace {
                data_dir, wal_dir, ..
            } => {
                facts.push(("data directory", data_dir.display().to_string()));
                if let Some(wal_dir) = wal_dir {
                    facts.push(("WAL directory", wal_dir.display().to_string()));
                }
            }
            RecoveryTarget::NewDataDir { data_dir } => {
                let old = etcd.data_dir.host.as_ref();
                let old = old.map(|old| format!("{}, which stays", old.display()));
                facts.extend(old.map(|old| ("data directory", old)));
                facts.push(("new one", data_dir.display().to_string()));
            }
            _ => {}
        }
        facts.push(("snapshot", recovery.snapshot.display().to_string()));
        let by = recovery.restore.bump_revision;
        facts.push((
            "revision",
            match by {
                0 => recovery.revision.to_string(),
                by => format!("{}, moved ahead by {by}", recovery.revision),
            },
        ));
        facts.extend(recovery.restore.members.iter().map(|member| {
            let own = match member.name == recovery.member {
                true => ", this node",
                false => "",
            };
            let urls = member.peer_urls.join(",");
            ("member", format!("{} ({urls}){own}", member.name))
        }));
        let token = &recovery.restore.initial_cluster_token;
        facts.push(("token", token.clone()));
        facts.extend(self.plan_file.clone().map(|file| ("plan file", file)));
        facts
    }
}

impl Render for Plan<'_> {
    fn simple(&self) -> String {
        let recovery = self.recovery;
        let mut page = format!("To bring back {}\n", text::visible(&recovery.etcd.title()));
        page.push_str(&render::lines(&self.facts()));
        if !recovery.findings.is_empty() {
            heading(&mut page, "What was found");
            page.push_str(&findings::lines(&recovery.findings));
        }
        heading(&mut page, "What is done, and how it is done by hand");
        for step in &recovery.steps {
            paragraph(&mut page, &format!("{:>2}. {}", step.number, step.title), 4);
            for line in &step.by_hand {
                let line = text::visible(line);
                let _ = writeln!(page, "      {}", Style::new().cyan().apply_to(line));
            }
        }
        for change in &recovery.changes {
            heading(&mut page, &format!("How {} changes", change.path.display()));
            diff(&mut page, change);
        }
        section(&mut page, "What the other nodes do", &recovery.others);
        section(
            &mut page,
            "What to restart afterwards",
            &recovery.afterwards,
        );
        page
    }

    fn tables(&self) -> Vec<Table> {
        let recovery = self.recovery;
        let mut facts = vec![("to bring back", recovery.etcd.title())];
        facts.extend(self.facts());
        let mut steps = render::frame();
        steps.set_header(["step", "what is done", "by hand"]);
        for step in &recovery.steps {
            let by_hand: Vec<_> = step.by_hand.iter().map(|it| text::visible(it)).collect();
            steps.add_row([
                step.number.to_string(),
                text::visible(&step.title),
                by_hand.join("\n"),
            ]);
        }
        let mut tables = vec![render::pairs(facts)];
        if !recovery.findings.is_empty() {
            tables.push(findings::table(&recovery.findings));
        }
        tables.push(steps);
        let left = recovery
            .changes
            .iter()
            .map(|change| ("change", change.path.display().to_string()))
            .chain(recovery.others.iter().map(|it| ("other nodes", it.clone())))
            .chain(recovery.afterwards.iter().map(|it| ("restart", it.clone())));
        tables.push(render::pairs(left.collect()));
        tables
    }
}

/// Without the colours that are there for a terminal only, the text is the same.
fn heading(page: &mut String, title: &str) {
    let title = Style::new().bold().apply_to(text::visible(title));
    let _ = writeln!(page, "\n{title}");
}

fn section(page: &mut String, title: &str, sentences: &[String]) {
    if sentences.is_empty() {
        return;
    }
    heading(page, title);
    for sentence in sentences {
        paragraph(page, &format!("  {sentence}"), 2);
    }
}

fn paragraph(page: &mut String, sentence: &str, indent: usize) {
    let width = text::width(&Term::stdout());
    let _ = writeln!(
        page,
        "{}",
        text::wrap(&text::visible(sentence), width, indent)
    );
}

fn diff(page: &mut String, change: &FileChange) {
    for line in change.diff.lines() {
        let look = match line.chars().next() {
            Some('+') => Style::new().green(),
            Some('-') => Style::new().red(),
            Some('@') => Style::new().cyan(),
            _ => Style::new(),
        };
        let _ = writeln!(page, "  {}", look.apply_to(visible_with_tabs(line)));
    }
}

/// A diff is to be seen as it is: a tab stays one.
fn visible_with_tabs(line: &str) -> String {
    let pieces: Vec<_> = line.split('\t').map(text::visible).collect();
    pieces.join("\t")
}
