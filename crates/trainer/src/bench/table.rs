//! Tables for a terminal, for Markdown and for HTML.

use super::picture::escape;

/// A table; every row has as many cells as there are columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Column {
    head: &'static str,
    numbers: bool,
}

impl Table {
    /// A table without rows. A column whose head starts with `>` holds numbers, which are set to the right.
    pub fn new(heads: &[&'static str]) -> Self {
        let column = |head: &&'static str| match head.strip_prefix('>') {
            Some(head) => Column { head, numbers: true },
            None => Column { head, numbers: false },
        };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row. What is missing is empty, what is too much is dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In columns of equal width.
    pub fn text(&self) -> String {
        let widths = self.widths();
        let heads = self.columns.iter().map(|column| column.head.to_owned()).collect::<Vec<_>>();
        let mut text = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            text += self.line(row, &widths, "  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// As a table of Markdown.
    pub fn markdown(&self) -> String {
        let escaped = |row: &Vec<String>| row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        let table = Self { columns: self.columns.clone(), rows: self.rows.iter().map(escaped).collect() };
        let widths = table.widths();
        let heads = table.columns.iter().map(|column| column.head.to_owned()).collect::<Vec<_>>();
        let rule = |(column, width): (&Column, &usize)| {
            let dashes = "-".repeat(width.saturating_sub(1).max(2));
            if column.numbers { format!("{dashes}:") } else { format!("{dashes}-") }
        };
        let rules: Vec<String> = table.columns.iter().zip(&widths).map(rule).collect();
        let mut text = String::new();
        for row in [&heads, &rules].into_iter().chain(&table.rows) {
            text += &format!("| {} |\n", table.line(row, &widths, " | "));
        }
        text
    }

    /// As a table of HTML.
    pub fn html(&self) -> String {
        let row = |cells: &mut dyn Iterator<Item = &str>, tag: &str| -> String {
            let cell = |(text, column): (&str, &Column)| {
                let class = if column.numbers { " class=\"number\"" } else { "" };
                let scope = if tag == "th" { " scope=\"col\"" } else { "" };
                format!("<{tag}{scope}{class}>{}</{tag}>", escape(text))
            };
            format!("<tr>{}</tr>\n", cells.zip(&self.columns).map(cell).collect::<String>())
        };
        let head = row(&mut self.columns.iter().map(|column| column.head), "th");
        let body: String = self.rows.iter().map(|cells| row(&mut cells.iter().map(String::as_str), "td")).collect();
        format!("<table>\n<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n</table>\n")
    }

    fn widths(&self) -> Vec<usize> {
        let width = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| row[index].chars().count());
            cells.chain([column.head.chars().count(), 3]).max().unwrap_or_default()
        };
        self.columns.iter().enumerate().map(width).collect()
    }

    fn line(&self, row: &[String], widths: &[usize], between: &str) -> String {
        let cell = |((cell, column), width): ((&String, &Column), &usize)| match column.numbers {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        };
        let cells: Vec<String> = row.iter().zip(&self.columns).zip(widths).map(cell).collect();
        cells.join(between)
    }
}

/// A number in about three digits, without an exponent where people would not use one.
pub fn short(number: f64) -> String {
    match number.abs() {
        magnitude if !magnitude.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        magnitude if magnitude < 0.001 => format!("{number:.1e}"),
        magnitude if magnitude < 0.1 => format!("{number:.4}"),
        magnitude if magnitude < 10.0 => format!("{number:.2}"),
        magnitude if magnitude < 100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["row", ">ms", "note"]);
        table.row(["conv2d".to_owned(), "1.5".to_owned(), "a|b".to_owned()]);
        table.row(["x".to_owned(), "12.25".to_owned()]);
        table
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(table().text(), "row        ms  note\nconv2d    1.5  a|b\nx       12.25\n");
    }

    #[test]
    fn markdown_is_escaped() {
        let expected = "| row    |    ms | note |\n| ------ | ----: | ---- |\n| conv2d |   1.5 | a\\|b |\n| x      | 12.25 |      |\n";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 0.000_12, 0.012_34, 0.5, 12.34, 1234.5, f64::NAN].map(short);
        assert_eq!(all, ["0", "1.2e-4", "0.0123", "0.50", "12.3", "1234", "-"]);
    }
}
