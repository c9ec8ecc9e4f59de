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
const EMPTY_BOXES: TableStyle = TableStyle::new()
    .top_border(LineStyle::new('┌', '─', '┬', '┐'))
    .header_lines(ContentLineStyle::new('│', '│', '│'))
    .bottom_border(LineStyle::new('└', '─', '┴', '┘'));

/// Up to 3.6, what is wider goes on in the next line.
const WIDEST: usize = 30;

/// Headers are capitals and centred, values stand to the right.
pub(crate) fn table(dialect: Dialect, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    let trimmed: Vec<Vec<String>>;
    let (widest, rows) = match dialect >= Dialect::V3_7 {
        true => {
            table.load_style(if rows.is_empty() { EMPTY_BOXES } else { BOXES });
            let trim = |row: &Vec<String>| row.iter().map(|cell| cell.trim().to_owned()).collect();
            trimmed = rows.iter().map(trim).collect();
            (usize::MAX, trimmed.as_slice())
        }
        false => {
            table.load_style(PLAIN);
            (WIDEST, rows)
        }
    };
    let width_of = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let width = cells.map(|cell| folded(cell, widest).1).max();
        width.unwrap_or_default()
    };
    let titles = header
        .iter()
        .enumerate()
        .map(|(column, title)| Cell::new(centred(&title.to_uppercase(), width_of(column))));
    table.set_header(titles);
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let title = header
                .get(column)
                .map_or(0, |title| measure_text_width(title));
            let width = width_of(column).max(title);
            let lines = folded(cell, widest).0;
            let lines: Vec<String> = lines.iter().map(|line| right(line, width)).collect();
            Cell::new(lines.join("\n")).set_alignment(CellAlignment::Right)
        });
        table.add_row(cells);
    }
    // Blanks at the end of a line are a part of the frame's inside, and none come behind it.
    format!("{table}\n")
}

fn right(text: &str, width: usize) -> String {
    let blank = width.saturating_sub(measure_text_width(text));
    format!("{:blank$}{text}", "")
}

/// Breaks a text between words, so that the lines are as even as can be, and tells how wide a column it takes: at least what
/// it may have, even where no line fills it.
fn folded(text: &str, widest: usize) -> (Vec<String>, usize) {
    let whole = measure_text_width(text);
    if whole <= widest {
        return (vec![text.to_owned()], whole);
    }
    // A word that is wider makes all lines as wide.
    let words: Vec<&str> = text.split(' ').collect();
    let width = words.iter().map(|word| measure_text_width(word));
    let width = width.max().unwrap_or_default().max(widest);
    let line = |from: usize, to: usize| words[from..to].join(" ");
    // From each word on, what the rest costs, and where the next line begins.
    let mut rest = vec![(0, words.len()); words.len()];
    for from in (0..words.len()).rev() {
        if measure_text_width(&line(from, words.len())) <= width {
            continue;
        }
        let costs = (from + 1..words.len()).map(|to| {
            let blank = width.abs_diff(measure_text_width(&line(from, to)));
            let too_long = measure_text_width(&line(from, to)) > width;
            let penalty = if too_long { 100_000 } else { 0 };
            (blank * blank + penalty + rest[to].0, to)
        });
        rest[from] = costs.min().unwrap_or((0, words.len()));
    }
    let mut lines = Vec::new();
    let mut from = 0;
    while from < words.len() {
        let to = rest[from].1;
        lines.push(line(from, to));
        from = to;
    }
    (lines, width)
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
        let alarm = "memberID:7369606971735030158  alarm:NOSPACE";
        assert_eq!(
            table(Dialect::V3_6, &["errors"], &[vec![alarm.to_owned()]]),
            "\
+--------------------------------+
|             ERRORS             |
+--------------------------------+
|  memberID:7369606971735030158  |
|                  alarm:NOSPACE |
+--------------------------------+
"
        );
        assert_eq!(
            table(Dialect::V3_7, &["a b"], &[]),
            "\
┌─────┐
│ A B │
└─────┘
"
        );
        assert_eq!(
            table(Dialect::V3_7, &["a b"], &[vec!["123456 ".to_owned()]]),
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
