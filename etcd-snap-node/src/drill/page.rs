//! The report as a page for people.

use super::DrillReport;

pub(super) fn page(report: &DrillReport) -> String {
    format!("<!doctype html><title>{}</title>", report.verdict.words())
}
