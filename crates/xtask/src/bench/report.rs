//! The table: medians over the rounds, every round's values, and whether the target is reached.

use serde_json::{Value, json};

/// What a row is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing; it is there to be known.
    None,
    /// Ours divided by the reference, at least.
    RatioAtLeast(f64),
    /// Ours, less than.
    Below(f64),
}

/// One line: ours and, where there is one, the reference, round by round.
pub struct Row {
    name: String,
    unit: &'static str,
    goal: Goal,
    ours: Vec<f64>,
    reference: Vec<f64>,
}

/// All lines, and what they were measured on.
pub struct Report {
    /// The lines.
    pub rows: Vec<Row>,
    machine: Vec<String>,
}

impl Row {
    /// A line without values.
    pub fn new(name: String, unit: &'static str, goal: Goal) -> Self {
        Self { name, unit, goal, ours: Vec::new(), reference: Vec::new() }
    }

    /// A round with its reference.
    pub fn pair(&mut self, ours: f64, reference: f64) {
        self.ours.push(ours);
        self.reference.push(reference);
    }

    /// A round of ours alone.
    pub fn single(&mut self, ours: f64) {
        self.ours.push(ours);
    }

    fn ratios(&self) -> Vec<f64> {
        self.ours.iter().zip(&self.reference).map(|(ours, reference)| ours / reference).collect()
    }

    /// Whether the target is reached; nothing where there is none.
    fn reached(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::RatioAtLeast(least) => Some(median(&self.ratios()) >= least),
            Goal::Below(limit) => Some(median(&self.ours) < limit),
        }
    }

    fn cells(&self) -> [String; 8] {
        let ratios = self.ratios();
        let lone = ratios.is_empty();
        let list = |values: &[f64]| values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(", ");
        let target = match self.goal {
            Goal::None => String::new(),
            Goal::RatioAtLeast(least) => format!(">= {least}"),
            Goal::Below(limit) => format!("< {limit} {}", self.unit),
        };
        let verdict = match self.reached() {
            None => String::new(),
            Some(true) => " reached".to_owned(),
            Some(false) => " **MISSED**".to_owned(),
        };
        let rounds = if lone { list(&self.ours) } else { format!("{} / {}", list(&self.ours), list(&self.reference)) };
        [
            self.name.clone(),
            self.unit.to_owned(),
            number(median(&self.ours)),
            if lone { String::new() } else { number(median(&self.reference)) },
            if lone { String::new() } else { number(median(&ratios)) },
            format!("{target}{verdict}"),
            rounds,
            spread(if lone { &self.ours } else { &ratios }),
        ]
    }
}

impl Report {
    /// A report without lines.
    pub fn new(machine: Vec<String>) -> Self {
        Self { rows: Vec::new(), machine }
    }

    /// Says one thing more about what is measured, unless it is said already.
    pub fn say_of_machine(&mut self, line: String) {
        if !self.machine.contains(&line) {
            self.machine.push(line);
        }
    }

    /// Prints it in Markdown.
    pub fn print(&self, rounds: usize) {
        for line in self.lines(rounds) {
            crate::say(&line);
        }
    }

    fn lines(&self, rounds: usize) -> Vec<String> {
        let mut lines: Vec<String> = self.machine.iter().map(|line| format!("- {line}")).collect();
        let few = if rounds < 3 { " (too few to be quoted)" } else { "" };
        lines.push(format!(
            "- medians of {rounds} rounds{few}, each ratio taken inside its round; spread: of the ratio, else of ours"
        ));
        lines.push(String::new());
        let head = ["what", "unit", "ours", "reference", "ratio", "target", "rounds (ours / reference)", "spread"];
        let mut cells = vec![head.map(str::to_owned)];
        cells.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &[String; 8]| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} "));
            format!("|{}|", padded.collect::<Vec<_>>().join("|"))
        };
        for (index, row) in cells.iter().enumerate() {
            lines.push(line(row));
            if index == 0 {
                lines.push(format!(
                    "|{}|",
                    widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|")
                ));
            }
        }
        lines
    }

    /// Everything that was measured.
    pub fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "unit": row.unit,
                "ours": { "median": median(&row.ours), "rounds": row.ours },
                "reference": if row.reference.is_empty() { Value::Null } else {
                    json!({ "median": median(&row.reference), "rounds": row.reference })
                },
                "ratio": if row.reference.is_empty() { Value::Null } else {
                    json!({ "median": median(&row.ratios()), "rounds": row.ratios() })
                },
                "target": match row.goal {
                    Goal::None => Value::Null,
                    Goal::RatioAtLeast(least) => json!({ "ratio_at_least": least }),
                    Goal::Below(limit) => json!({ "below": limit }),
                },
                "reached": row.reached(),
            })
        });
        let report = json!({ "machine": self.machine, "rows": rows.collect::<Vec<_>>() });
        format!("{report:#}\n")
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

fn spread(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{}-{}", number(low), number(high))
}

/// Three significant digits at least, thousands apart.
fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => "?".to_owned(),
        value if value.abs() < 10.0 => format!("{value:.2}"),
        value if value.abs() < 1000.0 => format!("{value:.1}"),
        value => {
            let digits = format!("{value:.0}");
            let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
            groups.collect::<Vec<_>>().join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let shown = [0.5, 12.34, 999.9, 1000.0, 1_234_567.8].map(number);
        assert_eq!(shown, ["0.50", "12.3", "999.9", "1,000", "1,234,568"]);
    }

    #[test]
    fn the_ratio_is_taken_inside_each_round() {
        let mut row = Row::new("a".to_owned(), "mails/s", Goal::RatioAtLeast(0.5));
        for (ours, reference) in [(10.0, 10.0), (60.0, 100.0), (1.0, 5.0)] {
            row.pair(ours, reference);
        }
        assert_eq!(median(&row.ratios()), 0.6);
        assert_eq!(row.reached(), Some(true));
        assert_eq!(row.cells()[7], "0.20-1.00");
    }

    #[test]
    fn a_missed_target_is_marked() {
        let mut row = Row::new("memory idle".to_owned(), "MB", Goal::Below(40.0));
        row.single(40.0);
        let report = Report { rows: vec![row], machine: vec!["cores: 2".to_owned()] };
        let lines = report.lines(1);
        assert_eq!(lines[0], "- cores: 2");
        assert!(lines[1].contains("too few"), "{lines:?}");
        assert!(lines[5].contains("| < 40 MB **MISSED** |"), "{lines:?}");
        let parsed: Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(parsed["rows"][0]["reached"], Value::Bool(false));
    }
}
