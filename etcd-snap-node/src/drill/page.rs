//! The report as a page for people: one file, without scripts, that asks for nothing else.

use std::fmt::Write as _;

use super::report::{AgeFrom, DrillOutcome, DrillReport, DrillStep, DrillVerdict};
use crate::time;

const STYLE: &str = include_str!("page.css");

/// The whole page. Every text in it is escaped: keys, names and what servers say can hold anything.
pub(super) fn page(report: &DrillReport) -> String {
    let mut page = Page::default();
    page.head(report);
    page.verdict(report);
    page.steps(report);
    page.conditions(report);
    page.facts(report);
    page.members(report);
    page.living(report);
    page.notes(report);
    page.foot(report);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    fn text(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    fn element(&mut self, tag: &str, class: &str, text: &str) {
        let _ = match class {
            "" => write!(self.0, "<{tag}>"),
            class => write!(self.0, "<{tag} class=\"{class}\">"),
        };
        self.text(text);
        let _ = writeln!(self.0, "</{tag}>");
    }

    /// A name and its value in a list of these.
    fn pair(&mut self, name: &str, value: &str) {
        self.raw("<div>");
        self.element("dt", "", name);
        self.element("dd", "", value);
        self.raw("</div>\n");
    }

    fn head(&mut self, report: &DrillReport) {
        self.raw(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"robots\" content=\"noindex\">\n",
        );
        let title = format!("Drill {}: {}", report.verdict.words(), name(report));
        self.element("title", "", &title);
        self.raw("<style>\n");
        self.raw(STYLE);
        let _ = writeln!(
            self.0,
            "</style>\n</head>\n<body>\n<main class=\"{}\">",
            class_of(report.verdict)
        );
    }

    fn verdict(&mut self, report: &DrillReport) {
        self.raw("<header>\n");
        self.element("p", "what", &format!("Restore drill of {}", name(report)));
        let (sign, words) = match report.verdict {
            DrillVerdict::Passed => ("✓", "Passed"),
            DrillVerdict::NotBooted => ("–", "Not booted"),
            DrillVerdict::Failed => ("✗", "Failed"),
        };
        let _ = writeln!(
            self.0,
            "<h1><span aria-hidden=\"true\">{sign}</span> {words}</h1>"
        );
        match &report.reason {
            Some(reason) => self.element("p", "reason", &sentence(reason)),
            None => self.element(
                "p",
                "reason",
                "The snapshot restores, and the restored members hold what it holds.",
            ),
        }
        if let Some(remedy) = &report.remedy {
            self.element("p", "remedy", &sentence(remedy));
        }
        self.raw("<dl class=\"figures\">\n");
        self.pair(measured(report), &duration(report.total_ms));
        let snapshot = &report.snapshot;
        let figures = [
            ("Served after", report.serving_ms.map(duration)),
            ("Age", snapshot.age_seconds.map(time::words)),
            ("Keys", snapshot.keys.map(|keys| grouped(keys.into()))),
            (
                "Revision",
                snapshot.revision.map(|it| grouped(it.get().into())),
            ),
        ];
        for (name, value) in figures {
            if let Some(value) = value {
                self.pair(name, &value);
            }
        }
        self.raw("</dl>\n</header>\n");
    }

    fn steps(&mut self, report: &DrillReport) {
        if report.steps.is_empty() {
            return;
        }
        self.raw("<section>\n<h2>Steps</h2>\n<ol>\n");
        let longest = report.steps.iter().map(|step| step.duration_ms).max();
        let longest = longest.unwrap_or_default().max(1);
        for step in &report.steps {
            self.step(step, longest);
        }
        let _ = write!(
            self.0,
            "<li class=\"total\"><div class=\"row\"><b>{}</b>",
            match report.serving_ms {
                Some(_) => "Total (RTO)",
                None => "Total",
            }
        );
        self.element("time", "", &duration(report.total_ms));
        self.raw("</div></li>\n</ol>\n</section>\n");
    }

    fn step(&mut self, step: &DrillStep, longest_ms: u64) {
        self.item(
            step.outcome,
            &sentence(&step.title),
            Some(step.duration_ms),
            &step.detail,
        );
        let percent = step.duration_ms.saturating_mul(100) / longest_ms.max(1);
        if percent > 0 {
            let _ = writeln!(
                self.0,
                "<div class=\"bar\" aria-hidden=\"true\"><i style=\"width:{percent}%\"></i></div>"
            );
        }
        self.raw("</li>\n");
    }

    /// The beginning of an item of a list, with its outcome.
    fn item(&mut self, outcome: DrillOutcome, title: &str, took_ms: Option<u64>, detail: &str) {
        let class = match outcome {
            DrillOutcome::Passed => "passed",
            DrillOutcome::Failed => "failed",
            DrillOutcome::Skipped => "skipped",
        };
        let _ = write!(self.0, "<li class=\"{class}\"><div class=\"row\">");
        self.element("span", "badge", class);
        self.element("b", "", title);
        if let Some(took) = took_ms {
            self.element("time", "", &duration(took));
        }
        self.raw("</div>\n");
        if !detail.is_empty() {
            self.element("p", "detail", detail);
        }
    }

    fn conditions(&mut self, report: &DrillReport) {
        if report.conditions.is_empty() {
            return;
        }
        self.raw("<section>\n<h2>Conditions</h2>\n<ul>\n");
        for it in &report.conditions {
            self.item(it.outcome, &sentence(&it.condition), None, &it.detail);
            self.raw("</li>\n");
        }
        self.raw("</ul>\n</section>\n");
    }

    fn facts(&mut self, report: &DrillReport) {
        let snapshot = &report.snapshot;
        self.raw("<section>\n<h2>Snapshot</h2>\n<dl class=\"facts\">\n");
        self.fact("File", Some(snapshot.path.clone()), true);
        self.fact("Size", snapshot.size_bytes.map(size), false);
        self.fact("SHA-256", snapshot.digest.map(|it| it.to_string()), true);
        let compacted = snapshot.compact_revision;
        let revision = snapshot.revision.map(|revision| match compacted {
            Some(compacted) => format!("{revision}, compacted at {compacted}"),
            None => revision.to_string(),
        });
        self.fact("Revision", revision, false);
        self.fact("Keys", snapshot.keys.map(|it| it.to_string()), false);
        self.fact("Leases", snapshot.leases.map(|it| it.to_string()), false);
        self.fact("Members", list(&snapshot.members), false);
        self.fact("Version", snapshot.cluster_version.clone(), false);
        self.fact("Storage version", snapshot.storage_version.clone(), false);
        let auth = snapshot
            .auth_enabled
            .map(|on| if on { "enabled" } else { "not enabled" });
        self.fact("Auth", auth.map(ToOwned::to_owned), false);
        self.fact("Alarms", list(&snapshot.alarms), false);
        self.fact(
            "Cluster id",
            snapshot.cluster_id.map(|it| it.to_string()),
            true,
        );
        let from = match snapshot.age_from {
            Some(AgeFrom::Manifest) => "by its manifest",
            _ => "by the time of its file",
        };
        let taken = snapshot.taken_at.as_ref();
        self.fact("Taken", taken.map(|at| format!("{at}, {from}")), false);
        self.raw("</dl>\n</section>\n");
    }

    fn fact(&mut self, name: &str, value: Option<String>, is_code: bool) {
        let Some(value) = value else {
            return;
        };
        self.element("dt", "", name);
        self.raw("<dd>");
        if is_code {
            self.element("code", "", &value);
        } else {
            self.text(&value);
        }
        self.raw("</dd>\n");
    }

    fn members(&mut self, report: &DrillReport) {
        if report.etcd.is_none() && report.members.is_empty() {
            return;
        }
        self.raw("<section>\n<h2>Restored members</h2>\n<dl class=\"facts\">\n");
        if let Some(etcd) = &report.etcd {
            let version = etcd
                .version
                .as_deref()
                .unwrap_or("does not say its version");
            let etcd = format!("{version}, {}", etcd.path.display());
            self.fact("etcd", Some(etcd), false);
        }
        for member in &report.members {
            let id = member.member_id;
            let said = match member.hash_kv {
                Some(hash) if hash.expected == hash.found => format!(
                    "{id}: HashKV {} at revision {}, as expected",
                    hash.found, hash.revision
                ),
                Some(hash) => format!(
                    "{id}: HashKV {} at revision {}, expected {}",
                    hash.found, hash.revision, hash.expected
                ),
                None => format!("{id}: no HashKV"),
            };
            self.fact(&member.name, Some(said), false);
        }
        self.raw("</dl>\n</section>\n");
    }

    fn living(&mut self, report: &DrillReport) {
        let Some(attested) = &report.attest else {
            return;
        };
        self.raw("<section>\n<h2>Living members</h2>\n");
        self.element("p", "what", &attested.summary());
        self.raw("<dl class=\"facts\">\n");
        for member in &attested.members {
            self.fact(&member.called(), Some(member.verdict.to_string()), false);
        }
        self.raw("</dl>\n</section>\n");
    }

    fn notes(&mut self, report: &DrillReport) {
        if report.notes.is_empty() {
            return;
        }
        self.raw("<section>\n<h2>Notes</h2>\n<ul>\n");
        for note in &report.notes {
            self.element("li", "", &sentence(note));
        }
        self.raw("</ul>\n</section>\n");
    }

    fn foot(&mut self, report: &DrillReport) {
        let host = report.host.as_ref().map(|host| format!(" on {host}"));
        let foot = format!(
            "Begun {}{}, with etcd-snap {}",
            report.started_at,
            host.unwrap_or_default(),
            env!("CARGO_PKG_VERSION")
        );
        self.element("footer", "", &foot);
        self.raw("</main>\n</body>\n</html>\n");
    }
}

/// What the time of the whole is: that of a recovery only where there was one.
fn measured(report: &DrillReport) -> &'static str {
    match report.serving_ms {
        Some(_) => "RTO",
        None => "Took",
    }
}

/// The file's own name: its directory is among the facts.
fn name(report: &DrillReport) -> String {
    let path = &report.snapshot.path;
    match path.rsplit('/').next() {
        Some("") | None => path.clone(),
        Some(name) => name.to_owned(),
    }
}

fn class_of(verdict: DrillVerdict) -> &'static str {
    match verdict {
        DrillVerdict::Passed => "passed",
        DrillVerdict::NotBooted => "not-booted",
        DrillVerdict::Failed => "failed",
    }
}

fn list(all: &[String]) -> Option<String> {
    (!all.is_empty()).then(|| all.join(", "))
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `620 ms`, `2.4 s`, `3 min 20 s`.
fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `1 234 567`, with blanks that do not break.
fn grouped(number: i128) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        let behind = digits.len().saturating_sub(place);
        if place > 0 && behind % 3 == 0 && !grouped.ends_with('-') {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for larger in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    match unit {
        "bytes" => format!("{bytes} bytes"),
        unit => format!("{value:.1} {unit} ({} bytes)", grouped(bytes.into())),
    }
}

/// For text and for attributes. Control characters, which no page may hold, are written out.
fn escape(text: &str, to: &mut String) {
    for character in text.chars() {
        match character {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            control if control.is_control() => {
                let _ = write!(to, "{}", control.escape_default());
            }
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::report::DrillCondition;
    use super::*;

    fn report() -> DrillReport {
        DrillReport::begin(
            Path::new("/backups/<script>alert(1)</script>.db"),
            time::now(),
        )
    }

    #[test]
    fn all_text_is_escaped() {
        let nasty = "<img src=x onerror=\"alert('&')\">\u{1b}[2J";
        let mut report = report();
        report.reason = Some(nasty.to_owned());
        report.remedy = Some(nasty.to_owned());
        report.host = Some(nasty.to_owned());
        report.notes.push(nasty.to_owned());
        report.snapshot.members.push(nasty.to_owned());
        report.conditions.push(DrillCondition {
            condition: nasty.to_owned(),
            outcome: DrillOutcome::Failed,
            detail: nasty.to_owned(),
        });
        report.steps.push(DrillStep {
            code: "start".to_owned(),
            title: nasty.to_owned(),
            outcome: DrillOutcome::Failed,
            detail: nasty.to_owned(),
            duration_ms: 7,
        });
        let page = page(&report);
        assert!(
            !page.contains("<img") && !page.contains("<script"),
            "{page}"
        );
        assert!(!page.contains('\u{1b}'));
        assert_eq!(page.matches("&lt;img src=x onerror=&quot;").count(), 9);
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let page = page(&report());
        for word in [
            "http:", "https:", "url(", "@import", "src=", "href=", "<script>",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn figures_are_short() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (2_449, "2.4 s"),
            (200_000, "3 min 20 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(milliseconds), text);
        }
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(-123), "-123");
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(114_720), "114.7 kB (114\u{202f}720 bytes)");
    }
}
