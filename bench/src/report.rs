//! Figures as rows, for people and for programs.

use serde::Serialize;

/// How rows are printed.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns under a title.
    #[default]
    Table,
    /// One object a line, rows only.
    Json,
}

/// One figure: ours against its floor, and how far it may be from it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The goal's number in the list of goals, or what the figure belongs to.
    id: &'static str,
    what: String,
    floor: Option<f64>,
    ours: f64,
    ratio: Option<f64>,
    /// The highest ratio that will do.
    goal: Option<f64>,
    met: Option<bool>,
    unit: &'static str,
}

impl Row {
    /// A figure, a time in microseconds, against a floor.
    pub(crate) fn against(floor: f64, id: &'static str, what: impl Into<String>, ours: f64) -> Row {
        Row {
            floor: Some(floor),
            ratio: Some(ours / floor),
            ..Row::alone(id, what, ours)
        }
    }

    /// A figure, a time in microseconds, that is compared with nothing.
    pub(crate) fn alone(id: &'static str, what: impl Into<String>, ours: f64) -> Row {
        Row {
            id,
            what: what.into(),
            floor: None,
            ours,
            ratio: None,
            goal: None,
            met: None,
            unit: "us",
        }
    }

    /// Of another unit than microseconds; the rows of a section share it.
    pub(crate) fn unit(mut self, unit: &'static str) -> Row {
        self.unit = unit;
        self
    }

    /// The highest ratio that will do.
    pub(crate) fn goal(mut self, goal: f64) -> Row {
        self.goal = Some(goal);
        self.met = self.ratio.map(|ratio| ratio <= goal);
        self
    }

    fn cells(&self) -> [String; 7] {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        [
            self.id.to_owned(),
            self.what.clone(),
            number(self.floor, 1),
            number(Some(self.ours), 1),
            number(self.ratio, 2),
            number(self.goal, 2),
            met.to_owned(),
        ]
    }
}

/// Rows that were measured together.
#[derive(Debug)]
pub(crate) struct Section {
    /// What was measured, and how: counts, pinning.
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// What a reader should know besides.
    pub(crate) notes: Vec<String>,
}

impl Section {
    pub(crate) fn render(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => self.rows.iter().map(json_line).collect(),
        }
    }

    /// Title and notes, which rows alone don't tell.
    pub(crate) fn about(&self) -> String {
        let mut parts = vec![self.title.as_str()];
        parts.extend(self.notes.iter().map(String::as_str));
        parts.join("\n       ")
    }

    fn table(&self) -> String {
        let header = ["id", "what", "floor", "ours", "ratio", "goal", ""];
        let unit = self.rows.first().map_or("", |row| row.unit);
        let rows: Vec<_> = std::iter::once(header.map(str::to_owned))
            .chain(self.rows.iter().map(Row::cells))
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..header.len()).filter_map(width).collect();
        let mut text = format!("{} ({unit})\n", self.title);
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate();
            let padded = cells.map(|(column, (cell, width))| match column {
                0 | 1 | 6 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let line = padded.collect::<Vec<_>>().join("  ");
            text.push_str(&format!("  {}\n", line.trim_end()));
        }
        for note in &self.notes {
            text.push_str(&format!("  {note}\n"));
        }
        text.push('\n');
        text
    }
}

fn json_line(row: &Row) -> String {
    let mut line = serde_json::to_string(row).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        Section {
            title: "calls".into(),
            rows: vec![
                Row::against(2.0, "P6", "a call", 3.0).goal(1.5),
                Row::against(2.0, "P6", "a slow call", 30.0).goal(1.5),
                Row::alone("stage", "execute", 7.25),
            ],
            notes: vec!["quiet host".into()],
        }
    }

    #[test]
    fn table_aligns_columns_and_marks_misses() {
        assert_eq!(
            section().render(Format::Table),
            "calls (us)\n\
             \x20 id     what         floor  ours  ratio  goal\n\
             \x20 P6     a call         2.0   3.0   1.50  1.50  met\n\
             \x20 P6     a slow call    2.0  30.0  15.00  1.50  MISSED\n\
             \x20 stage  execute          -   7.2      -     -\n\
             \x20 quiet host\n\n"
        );
    }

    #[test]
    fn json_is_one_object_a_line_with_every_field() {
        let text = section().render(Format::Json);
        let rows: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1]["met"], false);
        assert_eq!(rows[0]["goal"], 1.5);
        for field in [
            "id", "what", "floor", "ours", "ratio", "goal", "met", "unit",
        ] {
            assert!(rows[2].get(field).is_some(), "{field}");
        }
    }
}
