//! What was measured, round by round, and as tables in Markdown.

use super::workloads::Workload;
use std::collections::BTreeMap;

/// Values of a program in a workload: one list for each round.
type Rounds = Vec<Vec<f64>>;

#[derive(Default)]
pub struct Results {
    /// By workload and name of the program.
    rounds: BTreeMap<(&'static str, String), Rounds>,
}

impl Results {
    pub fn add(&mut self, workload: &'static str, program: &str, values: Vec<f64>) {
        self.rounds.entry((workload, program.to_owned())).or_default().push(values);
    }

    /// One table of all these workloads: a row for each figure, a column for each program. Behind the first figure of a
    /// workload stands in parentheses what the first program needs in relation: below 1 it needs less.
    pub fn side_by_side(&self, workloads: &[&'static Workload], programs: &[String]) -> String {
        let mut table = format!("| | {} |\n|---|{}\n", programs.join(" | "), "---:|".repeat(programs.len()));
        for workload in workloads {
            for (index, column) in workload.columns.iter().enumerate() {
                let title = if index == 0 { format!("**{}**: ", workload.title) } else { String::new() };
                table += &format!("| {title}{column} |");
                for program in programs {
                    let figure = self.median(workload.name, program, index).unwrap_or_default();
                    let first = self.median(workload.name, &programs[0], index).unwrap_or_default();
                    let is_related = index == 0 && program != &programs[0] && !figure.is_empty();
                    match is_related {
                        true => table += &format!(" {figure} ({}) |", relation(&first, &figure)),
                        false => table += &format!(" {figure} |").replace("  ", " "),
                    }
                }
                table.push('\n');
            }
        }
        table
    }

    /// The table of one workload, a row for each program, with the spread of the rounds; the last column is the first program's first figure divided by
    /// that of each.
    pub fn table(&self, workload: &'static Workload, programs: &[String]) -> String {
        let Some(first) = programs.first() else { return String::new() };
        let columns = workload.columns;
        let mut table = format!(
            "| | {} | {first} / it |\n|---{}|---:|\n",
            columns.join(" | "),
            "|---:".repeat(columns.len())
        );
        for program in programs {
            let own = self.median(workload.name, program, 0);
            let Some((figure, first)) = own.zip(self.median(workload.name, first, 0)) else { continue };
            let figures = (0..columns.len()).filter_map(|column| {
                let median = self.median(workload.name, program, column)?;
                Some(median + &self.spread(workload.name, program, column))
            });
            let figures: Vec<String> = figures.collect();
            table += &format!("| {program} | {} | {} |\n", figures.join(" | "), relation(&first, &figure));
        }
        table
    }

    /// The least and the most of the rounds, in parentheses; nothing where all were the same.
    fn spread(&self, workload: &'static str, program: &str, column: usize) -> String {
        let rounds = self.rounds.get(&(workload, program.to_owned())).map_or(&[][..], Vec::as_slice);
        let values = || rounds.iter().map(|round| round[column]).filter(|value| value.is_finite());
        let (least, most) = (values().fold(f64::NAN, f64::min), values().fold(f64::NAN, f64::max));
        match least < most {
            true => format!(" ({} to {})", shown(least), shown(most)),
            false => String::new(),
        }
    }

    /// The median of the rounds, as it is shown; `None` for a program that took no part.
    fn median(&self, workload: &'static str, program: &str, column: usize) -> Option<String> {
        let rounds = self.rounds.get(&(workload, program.to_owned()))?;
        Some(shown(median(rounds.iter().map(|round| round[column]))))
    }
}

/// Of two figures as they are shown, so that readers who divide them find the same.
fn relation(first: &str, other: &str) -> String {
    match (first.parse::<f64>(), other.parse::<f64>()) {
        (Ok(first), Ok(other)) if other != 0.0 => format!("{:.2}", first / other),
        _ => "-".into(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}

/// Three significant digits.
fn shown(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".into(),
        0.0 => "0".into(),
        0.0..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
