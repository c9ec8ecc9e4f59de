//! What is wrong with a snapshot, for people.

use comfy_table::Table;
use console::Term;
use etcd_snap::{DigestCheck, Problem, Severity};

use crate::render::{self, text};

pub(super) fn verdict(
    name: &str,
    digest: &DigestCheck,
    problems: &[Problem],
    more_problems: u64,
) -> String {
    let damaged = problems
        .iter()
        .any(|problem| problem.severity >= Severity::Damaged);
    let word = match digest {
        _ if damaged => "DAMAGED",
        DigestCheck::Missing { .. } => "sound, no digest",
        _ => "sound",
    };
    let problems = (problems.len() as u64).saturating_add(more_problems);
    let name = text::visible(name);
    match problems {
        0 => format!("{word}: {name}"),
        _ => format!("{word}: {name}, {}", text::count(problems, "problem")),
    }
}

pub(super) fn problem_lines(problems: &[Problem], more_problems: u64) -> String {
    let width = text::width(&Term::stdout());
    let mut lines: String = problems
        .iter()
        .map(|problem| {
            let severity = severity(problem.severity);
            let line = format!("  {severity}: {}", text::visible(&problem.to_string()));
            format!("{}\n", text::wrap(&line, width, 4))
        })
        .collect();
    if more_problems > 0 {
        lines.push_str(&format!("  and {more_problems} more\n"));
    }
    lines
}

pub(super) fn problem_table(problems: &[Problem], more_problems: u64) -> Table {
    let mut table = render::frame();
    table.set_header(["severity", "code", "page", "byte", "way", "key", "problem"]);
    for problem in problems {
        let number = |number: Option<String>| number.unwrap_or_default();
        table.add_row([
            severity(problem.severity).to_owned(),
            problem.code.to_string(),
            number(problem.page.map(|page| page.to_string())),
            number(problem.offset.map(|offset| offset.to_string())),
            way(problem),
            text::visible(problem.key.as_deref().unwrap_or_default()),
            text::visible(&problem.message),
        ]);
    }
    if more_problems > 0 {
        table.add_row([
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            format!("and {more_problems} more"),
        ]);
    }
    table
}

/// The pages from the root to the one that it is on.
fn way(problem: &Problem) -> String {
    let pages: Vec<_> = problem.path.iter().map(ToString::to_string).collect();
    pages.join(" > ")
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Damaged => "damaged",
        Severity::Suspicious => "suspicious",
        _ => "note",
    }
}
