//! What came of a recovery.

use std::time::Duration;

use comfy_table::Table;
use etcd_snap_node::RecoveryReport;

use crate::render::{self, Render, text};

impl Render for RecoveryReport {
    fn simple(&self) -> String {
        let took = text::duration(Duration::from_millis(self.duration_ms));
        let mut lines = format!("Done in {took}\n");
        lines.push_str(&render::lines(&facts(self)));
        for (title, sentences) in [("Notes", &self.notes), ("Now restart", &self.afterwards)] {
            if sentences.is_empty() {
                continue;
            }
            lines.push_str(&format!("{title}\n"));
            for sentence in sentences {
                lines.push_str(&format!("  {}\n", text::visible(sentence)));
            }
        }
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut table = render::frame();
        table.set_header(["step", "what", "took"]);
        for (step, milliseconds) in &self.steps {
            table.add_row([
                step.number.to_string(),
                text::visible(&step.title),
                text::duration(Duration::from_millis(*milliseconds)),
            ]);
        }
        let took = text::duration(Duration::from_millis(self.duration_ms));
        table.add_row([String::new(), "altogether".to_owned(), took]);
        let mut tables = vec![table];
        let mut rows = facts(self);
        rows.extend(self.notes.iter().map(|note| ("note", note.clone())));
        rows.extend(self.afterwards.iter().map(|what| ("restart", what.clone())));
        if !rows.is_empty() {
            tables.push(render::pairs(rows));
        }
        tables
    }
}

fn facts(report: &RecoveryReport) -> Vec<(&'static str, String)> {
    let old = report.old_data.iter();
    old.map(|path| {
        (
            "old data",
            format!(
                "{}, to be removed when nobody needs it any more",
                path.display()
            ),
        )
    })
    .collect()
}
