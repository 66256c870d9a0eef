//! What was measured, round by round, and as tables in Markdown.

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

    /// The medians of what was measured, and in the last column what the first program needs in relation: below 1 it
    /// needs less. That is the median of the relations within each round, which is steadier than that of the medians.
    pub fn table(&self, workload: &'static str, programs: &[String], columns: &[&str]) -> String {
        let measured = |name: &String| self.rounds.get(&(workload, name.clone()));
        let Some(first) = programs.first() else { return String::new() };
        let mut table = format!(
            "| | {} | {first} / it |\n|---{}|---:|\n",
            columns.join(" | "),
            "|---:".repeat(columns.len())
        );
        for program in programs {
            let Some(rounds) = measured(program) else { continue };
            let values =
                (0..columns.len()).map(|column| shown(median(rounds.iter().map(|round| round[column]))));
            let pairs = measured(first).into_iter().flatten().zip(rounds);
            let relation = median(pairs.map(|(first, other)| first[0] / other[0]));
            let relation = if relation.is_nan() { "-".to_owned() } else { format!("{relation:.2}") };
            let values: Vec<String> = values.collect();
            table += &format!("| {program} | {} | {relation} |\n", values.join(" | "));
        }
        table
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
