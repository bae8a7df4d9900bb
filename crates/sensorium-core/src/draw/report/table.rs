//! Tables of measures, with the best of each column marked.

use std::fmt::Write;

use super::super::text::escape;

/// A table with a name and some cells in each row.
///
/// ```
/// use sensorium_core::draw::report::{Cell, Column, Table};
///
/// let table = Table::new("method")
///     .column(Column::higher("R@1, %"))
///     .column(Column::text("what it does"))
///     .row("ridge", [Cell::estimate(16.1, 0.8), Cell::from("closed form")])
///     .baseline("chance", [Cell::from(0.25), Cell::Empty]);
/// ```
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    caption: String,
    columns: Vec<Column>,
    rows: Vec<TableRow>,
}

#[derive(Debug, Clone)]
struct TableRow {
    name: String,
    cells: Vec<Cell>,
    baseline: bool,
}

/// A column's name, and how its numbers are written and compared.
#[derive(Debug, Clone)]
pub struct Column {
    name: String,
    decimals: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Words,
    Number,
    HigherIsBetter,
    LowerIsBetter,
}

impl Column {
    /// A column of text.
    pub fn text(name: impl Into<String>) -> Self {
        Self::of(name, Kind::Words)
    }

    /// A column of numbers none of which is best, such as a size.
    pub fn number(name: impl Into<String>) -> Self {
        Self::of(name, Kind::Number)
    }

    /// A column whose highest number is marked as best.
    pub fn higher(name: impl Into<String>) -> Self {
        Self::of(name, Kind::HigherIsBetter)
    }

    /// A column whose lowest number is marked as best.
    pub fn lower(name: impl Into<String>) -> Self {
        Self::of(name, Kind::LowerIsBetter)
    }

    fn of(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), decimals: 2, kind }
    }

    /// Decimals of its numbers, up to 9; 2 when not set.
    pub fn decimals(self, decimals: usize) -> Self {
        Self { decimals: decimals.min(9), ..self }
    }

    fn class(&self) -> &'static str {
        if self.kind == Kind::Words { " class=\"words\"" } else { "" }
    }

    /// The arrow in the head that says which end is better.
    fn arrow(&self) -> &'static str {
        match self.kind {
            Kind::Words | Kind::Number => "",
            Kind::HigherIsBetter => " <span title=\"higher is better\">↑</span>",
            Kind::LowerIsBetter => " <span title=\"lower is better\">↓</span>",
        }
    }

    fn write(&self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_string();
        }
        let written = format!("{:.*}", self.decimals, value.abs());
        let (whole, decimals) = written.split_at(written.find('.').unwrap_or(written.len()));
        if whole.len() > 15 {
            return format!("{value:.2e}");
        }
        let mut grouped = String::new();
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        let sign = if value < 0.0 { "−" } else { "" };
        format!("{sign}{grouped}{decimals}")
    }
}

/// What stands in a row under a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A number, and its standard error where there is one.
    Number {
        /// The number; one that is not finite reads "–".
        value: f64,
        /// Its standard error.
        error: Option<f64>,
    },
    /// A text.
    Text(String),
    /// Nothing: "–".
    Empty,
}

impl Cell {
    /// A number with its standard error, written "17.2 ± 0.9".
    pub fn estimate(value: f64, error: f64) -> Self {
        Self::Number { value, error: Some(error) }
    }

    fn value(&self) -> Option<f64> {
        match self {
            Self::Number { value, .. } if value.is_finite() => Some(*value),
            _ => None,
        }
    }

    fn html(&self, column: &Column) -> String {
        match self {
            Self::Number { value, error: Some(error) } => {
                format!("{} <small>± {}</small>", column.write(*value), column.write(*error))
            }
            Self::Number { value, error: None } => column.write(*value),
            Self::Text(text) => escape(text),
            Self::Empty => "–".to_string(),
        }
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Number { value, error: None }
    }
}

impl From<f32> for Cell {
    fn from(value: f32) -> Self {
        Self::from(f64::from(value))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

impl Table {
    /// A table whose rows are named in a first column headed `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), caption: String::new(), columns: Vec::new(), rows: Vec::new() }
    }

    /// A sentence below the table.
    pub fn caption(self, caption: impl Into<String>) -> Self {
        Self { caption: caption.into(), ..self }
    }

    /// Adds a column.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Adds a row, one cell a column; cells that lack are empty, and those past the last column are left out.
    pub fn row<C: Into<Cell>>(self, name: impl Into<String>, cells: impl IntoIterator<Item = C>) -> Self {
        self.with(name.into(), cells.into_iter().map(Into::into).collect(), false)
    }

    /// Adds a row that others are measured against. It is quieter, and takes part in the search for the best.
    pub fn baseline<C: Into<Cell>>(self, name: impl Into<String>, cells: impl IntoIterator<Item = C>) -> Self {
        self.with(name.into(), cells.into_iter().map(Into::into).collect(), true)
    }

    fn with(mut self, name: String, cells: Vec<Cell>, baseline: bool) -> Self {
        self.rows.push(TableRow { name, cells, baseline });
        self
    }

    /// The best number of a column: none when there is nothing to compare.
    fn best(&self, at: usize) -> Option<f64> {
        let values: Vec<f64> = self.rows.iter().filter_map(|row| row.cells.get(at)?.value()).collect();
        let best = match self.columns[at].kind {
            Kind::Words | Kind::Number => None,
            Kind::HigherIsBetter => values.iter().copied().reduce(f64::max),
            Kind::LowerIsBetter => values.iter().copied().reduce(f64::min),
        };
        best.filter(|best| values.iter().any(|v| v != best))
    }

    pub(super) fn html(&self) -> String {
        let mut html = String::from("<div class=\"card scroll\"><table>\n");
        if !self.caption.is_empty() {
            let _ = writeln!(html, "<caption dir=\"auto\">{}</caption>", escape(&self.caption));
        }
        let _ = write!(html, "<thead><tr><th scope=\"col\" class=\"words\">{}</th>", escape(&self.name));
        for column in &self.columns {
            let (class, name, arrow) = (column.class(), escape(&column.name), column.arrow());
            let _ = write!(html, "<th scope=\"col\"{class}>{name}{arrow}</th>");
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        let best: Vec<Option<f64>> = (0..self.columns.len()).map(|at| self.best(at)).collect();
        for row in &self.rows {
            html.push_str(&self.row_html(row, &best));
        }
        html + "</tbody>\n</table></div>\n"
    }

    fn row_html(&self, TableRow { name, cells, baseline }: &TableRow, best: &[Option<f64>]) -> String {
        let (class, tag) =
            if *baseline { (" class=\"baseline\"", "<span class=\"tag\">baseline</span>") } else { ("", "") };
        let mut html = format!("<tr{class}><th scope=\"row\" class=\"words\" dir=\"auto\">{}{tag}</th>", escape(name));
        for (at, column) in self.columns.iter().enumerate() {
            let cell = cells.get(at).unwrap_or(&Cell::Empty);
            let text = cell.html(column);
            let _ = if best[at].is_some() && cell.value() == best[at] {
                write!(html, "<td class=\"best\"><strong>{text}</strong></td>")
            } else {
                write!(html, "<td{}>{text}</td>", column.class())
            };
        }
        html + "</tr>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_each_column_is_marked() {
        let table = Table::new("method")
            .column(Column::higher("recall").decimals(1))
            .column(Column::lower("rank").decimals(0))
            .column(Column::number("size"))
            .row("a", [1.0, 5.0, 9.0])
            .row("b", [3.0, 7.0, 9.0])
            .baseline("c", [3.0, f64::NAN, 1.0]);
        let html = table.html();
        assert_eq!(html.matches("<strong>3.0</strong>").count(), 2, "a tie has two winners");
        assert_eq!(html.matches("<strong>").count(), 3);
        assert!(html.contains("<strong>5</strong>") && html.contains("<td>–</td>"));
    }

    #[test]
    fn rows_of_equal_numbers_have_no_winner() {
        let column = || Column::higher("x");
        assert!(!Table::new("").column(column()).row("a", [1.0]).html().contains("best"));
        assert!(!Table::new("").column(column()).row("a", [1.0]).row("b", [1.0]).html().contains("best"));
    }

    #[test]
    fn numbers_are_grouped_and_errors_follow() {
        let column = Column::number("n").decimals(1);
        assert_eq!(column.write(1_234_567.89), "1,234,567.9");
        assert_eq!(column.write(-123.0), "−123.0");
        assert_eq!(column.write(1e300), "1.00e300");
        assert_eq!(Cell::estimate(17.23, 0.91).html(&column), "17.2 <small>± 0.9</small>");
        assert_eq!(Cell::from(None::<f32>), Cell::Empty);
    }

    #[test]
    fn rows_may_be_short_or_long() {
        let html = Table::new("").column(Column::number("n")).row("short", [0.0; 0]).row("long", [1.0; 5]).html();
        assert_eq!(html.matches("<td").count(), 2);
    }
}
