//! What was found about an etcd or its machine, as lines and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::Table;
use console::{Style, Term};
use etcd_snap_node::{Finding, Severity};

use super::text;

/// Each finding with its remedy below it, as they come. Colours are for terminals only.
pub(crate) fn lines(findings: &[Finding]) -> String {
    let width = text::width(&Term::stdout());
    let mut lines = String::new();
    for finding in findings {
        let severity = format!("{}:", finding.severity);
        let look = match finding.severity {
            Severity::Error => Style::new().red().bold(),
            Severity::Warning => Style::new().yellow().bold(),
            _ => Style::new().bold(),
        };
        let sentence = format!("  {severity} {} [{}]", finding.message, finding.code);
        let sentence = text::wrap(&text::visible(&sentence), width, 4);
        let label = format!("  {severity}");
        let rest = sentence.strip_prefix(&label).unwrap_or(&sentence);
        let _ = writeln!(lines, "  {}{rest}", look.apply_to(severity));
        if let Some(remedy) = &finding.remedy {
            let remedy = format!("    -> {}", text::visible(remedy));
            let _ = writeln!(lines, "{}", text::wrap(&remedy, width, 7));
        }
    }
    lines
}

/// The same in a frame, with the codes.
pub(crate) fn table(findings: &[Finding]) -> Table {
    let mut table = super::frame();
    table.set_header(["severity", "code", "finding", "remedy"]);
    for finding in findings {
        table.add_row([
            finding.severity.to_string(),
            finding.code.clone(),
            text::visible(&finding.message),
            text::visible(finding.remedy.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// `1 error, 2 warnings`.
pub(crate) fn count<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> String {
    let mut counted: BTreeMap<Severity, u64> = BTreeMap::new();
    for finding in findings {
        *counted.entry(finding.severity).or_default() += 1;
    }
    let counted: Vec<_> = counted
        .iter()
        .rev()
        .map(|(severity, number)| text::count(*number, &severity.to_string()))
        .collect();
    match counted.is_empty() {
        true => "nothing was found".to_owned(),
        false => counted.join(", "),
    }
}
