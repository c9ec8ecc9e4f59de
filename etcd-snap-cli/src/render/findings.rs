//! What was found about an etcd or its machine, as lines and as a table.

use std::collections::BTreeMap;

use comfy_table::Table;
use console::Term;
use etcd_snap_node::{Finding, Severity};

use super::text;

/// The widest of the severities, and a blank.
const INDENT: usize = 9;

/// Each finding with its remedy below it, the worst as they come.
pub(crate) fn lines(findings: &[Finding]) -> String {
    let width = text::width(&Term::stdout());
    let mut lines = String::new();
    for finding in findings {
        let severity = finding.severity.to_string();
        let sentence = format!("{severity:<INDENT$}{}", text::visible(&finding.message));
        lines.push_str(&text::wrap(&sentence, width, INDENT));
        lines.push('\n');
        if let Some(remedy) = &finding.remedy {
            let remedy = format!("{:INDENT$}-> {}", "", text::visible(remedy));
            lines.push_str(&text::wrap(&remedy, width, INDENT + 3));
            lines.push('\n');
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
