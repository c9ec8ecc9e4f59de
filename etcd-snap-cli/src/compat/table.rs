//! Tables as the original draws them: plain characters up to 3.6, boxes since 3.7.

use comfy_table::{Cell, CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use console::measure_text_width;

use super::dialect::Dialect;

const PLAIN: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('+', '-', '+', '+'))
    .header_lines(ContentLineStyle::new('|', '|', '|'))
    .header_separator(LineStyle::new('+', '-', '+', '+'))
    .content_lines(ContentLineStyle::new('|', '|', '|'))
    .bottom_border(LineStyle::new('+', '-', '+', '+'));
const BOXES: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .content_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// Headers are capitals and centred, values stand to the right.
pub(crate) fn table(dialect: Dialect, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(if dialect >= Dialect::V3_7 {
        BOXES
    } else {
        PLAIN
    });
    let titles = header.iter().enumerate().map(|(column, title)| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let width = cells.map(|cell| measure_text_width(cell)).max();
        Cell::new(centred(&title.to_uppercase(), width.unwrap_or_default()))
    });
    table.set_header(titles);
    for row in rows {
        let cells = row.iter();
        table.add_row(cells.map(|cell| Cell::new(cell).set_alignment(CellAlignment::Right)));
    }
    // Blanks at the end of a line are a part of the frame's inside, and none come behind it.
    format!("{table}\n")
}

/// An odd blank stands behind.
fn centred(title: &str, width: usize) -> String {
    let blank = width.saturating_sub(measure_text_width(title));
    let before = blank / 2;
    format!(
        "{:before$}{title}{:behind$}",
        "",
        "",
        behind = blank - before
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_those_of_their_time() {
        let header = ["hash", "revision", "total size", "version"];
        let rows = [["9149a11c", "22", "20 kB", ""].map(String::from).to_vec()];
        assert_eq!(
            table(Dialect::V3_5, &header, &rows),
            "\
+----------+----------+------------+---------+
|   HASH   | REVISION | TOTAL SIZE | VERSION |
+----------+----------+------------+---------+
| 9149a11c |       22 |      20 kB |         |
+----------+----------+------------+---------+
"
        );
        assert_eq!(
            table(Dialect::V3_7, &["a b"], &[vec!["123456".to_owned()]]),
            "\
┌────────┐
│  A B   │
├────────┤
│ 123456 │
└────────┘
"
        );
    }
}
