//! Samples as curves: what was open, opened and moved, for each server, over time.
//!
//! Owns how counters become rates, what a restart of pen does to them, and which servers get a curve of their own.
//! Pure; between `history` and `chart`.

use crate::history::{Sample, ServerName, ServerSample};
use pen_proto::status::special;

/// Colours there are; more servers share the last layer.
pub const COLOURS: usize = 8;

/// A pause between samples that is longer than so many usual ones is a gap in the curve.
const GAP_SAMPLES: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Open at the time of the sample.
    Connections,
    /// Opened per second since the sample before.
    Opened,
    /// Moved per second, both directions, since the sample before.
    Bytes,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub label: String,
    /// Below [`COLOURS`]; `None` for the servers that have no colour of their own.
    pub colour: Option<usize>,
    /// One for each of [`Series::times`]; finite, not negative.
    pub values: Vec<f64>,
}

/// Curves over the same times.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Epoch seconds, ascending.
    pub times: Vec<u64>,
    /// Curves are interrupted where two times are further apart.
    pub gap_seconds: u64,
    pub layers: Vec<Layer>,
}

/// The servers with a curve of their own, in the order of their colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette(Vec<ServerName>);

impl Palette {
    /// All servers if there are colours for them, else those that moved most, in the order in which they are given.
    pub fn choose(servers: &[ServerName], samples: &[Sample]) -> Palette {
        if servers.len() <= COLOURS {
            return Palette(servers.to_vec());
        }
        let bytes: Vec<f64> = servers
            .iter()
            .map(|name| pairs(samples).map(|pair| grown(pair, |sample| of(sample, name).bytes)).sum())
            .collect();
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.sort_by(|&a, &b| bytes[b].total_cmp(&bytes[a]));
        order.truncate(COLOURS - 1);
        order.sort_unstable();
        Palette(order.into_iter().map(|index| servers[index].clone()).collect())
    }

    /// A curve for each, whatever their number.
    pub fn of(servers: impl IntoIterator<Item = ServerName>) -> Palette {
        Palette(servers.into_iter().collect())
    }

    pub fn colour(&self, server: &ServerName) -> Option<usize> {
        self.0.iter().position(|name| name == server)
    }
}

impl Series {
    pub fn of(measure: Measure, samples: &[Sample], palette: &Palette) -> Series {
        let values = |value: &dyn Fn(&Sample) -> u64| measured(measure, samples, value);
        let mut layers: Vec<Layer> = palette
            .0
            .iter()
            .enumerate()
            .map(|(colour, name)| Layer {
                label: label(name),
                colour: Some(colour),
                values: values(&|sample| figure(measure, of(sample, name))),
            })
            .collect();
        let others = |server: &&ServerSample| palette.colour(&server.server).is_none();
        let others = |sample: &Sample| {
            sample
                .servers
                .iter()
                .filter(others)
                .map(|server| figure(measure, server))
                .fold(0, u64::saturating_add)
        };
        let others = Layer { label: "other servers".into(), colour: None, values: values(&others) };
        if others.values.iter().any(|value| *value > 0.0) {
            layers.push(others);
        }
        let skipped = usize::from(measure != Measure::Connections);
        let times = samples.iter().skip(skipped).map(|sample| sample.time_epoch_seconds).collect();
        Series { times, gap_seconds: gap_seconds(samples), layers }
    }

    /// All layers together.
    pub fn sums(&self) -> Vec<f64> {
        (0..self.times.len()).map(|at| self.layers.iter().map(|layer| layer.values[at]).sum()).collect()
    }
}

/// `server 3 (10.0.0.1:80)`, `emergency server (10.0.0.9:80)`.
pub fn label(name: &ServerName) -> String {
    let endpoint = if name.endpoint.is_empty() { "no address" } else { &name.endpoint };
    format!("{} ({endpoint})", title(name.index))
}

/// `server 3`, `emergency server`.
pub fn title(index: i32) -> String {
    match special::name(index) {
        Some(special) => format!("{special} server"),
        None => format!("server {index}"),
    }
}

fn figure(measure: Measure, server: &ServerSample) -> u64 {
    match measure {
        Measure::Connections => server.connections.into(),
        Measure::Opened => server.connections_total,
        Measure::Bytes => server.bytes,
    }
}

/// A server that a sample does not know had nothing yet.
fn of<'a>(sample: &'a Sample, name: &ServerName) -> &'a ServerSample {
    static NOTHING: ServerSample = ServerSample {
        server: ServerName { index: -3, endpoint: String::new() },
        connections: 0,
        connections_total: 0,
        bytes: 0,
    };
    sample.server(name).unwrap_or(&NOTHING)
}

fn measured(measure: Measure, samples: &[Sample], value: &dyn Fn(&Sample) -> u64) -> Vec<f64> {
    match measure {
        Measure::Connections => samples.iter().map(|sample| value(sample) as f64).collect(),
        Measure::Opened | Measure::Bytes => {
            pairs(samples).map(|pair| grown(pair, value) / seconds_between(pair)).collect()
        }
    }
}

fn pairs(samples: &[Sample]) -> impl Iterator<Item = (&Sample, &Sample)> {
    samples.iter().zip(samples.iter().skip(1))
}

/// How much a counter grew. When pen was started in between, or the counter went back for another reason, what it
/// shows now is what is known to have come.
fn grown(pair: (&Sample, &Sample), value: impl Fn(&Sample) -> u64) -> f64 {
    let (old, new) = (value(pair.0), value(pair.1));
    (if restarted(pair) || new < old { new } else { new - old }) as f64
}

/// Whether the second sample is of a younger process. The two clocks may differ by the seconds they are rounded to.
fn restarted((before, after): (&Sample, &Sample)) -> bool {
    let between = after.time_epoch_seconds.saturating_sub(before.time_epoch_seconds);
    after.uptime_seconds < before.uptime_seconds || after.uptime_seconds.saturating_add(2) < between
}

/// At least 1.
fn seconds_between((before, after): (&Sample, &Sample)) -> f64 {
    after.time_epoch_seconds.saturating_sub(before.time_epoch_seconds).max(1) as f64
}

fn gap_seconds(samples: &[Sample]) -> u64 {
    let mut pauses: Vec<u64> =
        pairs(samples).map(|(a, b)| b.time_epoch_seconds.saturating_sub(a.time_epoch_seconds)).collect();
    pauses.sort_unstable();
    // Old samples are further apart than recent ones: what is usual among the old must be no gap.
    let usual = pauses.get(pauses.len() * 9 / 10).copied().unwrap_or(0);
    usual.max(1).saturating_mul(GAP_SAMPLES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::sample;
    use proptest::prelude::*;

    fn name(index: i32) -> ServerName {
        ServerName { index, endpoint: "10.0.0.1:80".into() }
    }

    #[test]
    fn counters_become_rates_and_survive_a_restart() {
        let samples = [
            sample(1000, 500, 7, 100, 10_000),
            sample(1010, 510, 3, 120, 10_000),
            sample(1020, 5, 0, 10, 500),
            sample(1030, 15, 1, 9, 600),
            sample(1040, 6, 1, 30, 700),
        ];
        let palette = Palette::choose(&[name(0)], &samples);
        let series = |measure| Series::of(measure, &samples, &palette);
        assert_eq!(series(Measure::Connections).layers[0].values, [7.0, 3.0, 0.0, 1.0, 1.0]);
        assert_eq!(series(Measure::Connections).times, [1000, 1010, 1020, 1030, 1040]);
        assert_eq!(series(Measure::Opened).layers[0].values, [2.0, 1.0, 0.9, 3.0]);
        assert_eq!(series(Measure::Bytes).layers[0].values, [0.0, 50.0, 10.0, 70.0]);
        assert_eq!(series(Measure::Bytes).times, [1010, 1020, 1030, 1040]);
        assert_eq!(series(Measure::Bytes).layers[0].label, "server 0 (10.0.0.1:80)");
    }

    #[test]
    fn a_server_that_left_is_among_the_others() {
        let mut samples = [sample(1000, 1, 5, 0, 0), sample(1600, 601, 6, 0, 0)];
        samples[0].servers[0].server.index = 9;
        let series = Series::of(Measure::Connections, &samples, &Palette::choose(&[name(0)], &samples));
        assert_eq!(series.layers[0].values, [0.0, 6.0]);
        assert_eq!((series.layers[1].values.clone(), series.layers[1].colour), (vec![5.0, 0.0], None));
        assert_eq!(series.sums(), [5.0, 6.0]);
    }

    #[test]
    fn of_many_servers_the_busiest_get_a_colour() {
        let names: Vec<ServerName> = (0..20).map(name).collect();
        let mut samples = [sample(1000, 1, 0, 0, 0), sample(1010, 11, 0, 0, 0)];
        for (at, sample) in samples.iter_mut().enumerate() {
            let one = sample.servers[0].clone();
            sample.servers = names
                .iter()
                .map(|name| ServerSample {
                    server: name.clone(),
                    bytes: 10 * at as u64 * name.index as u64,
                    ..one.clone()
                })
                .collect();
        }
        let palette = Palette::choose(&names, &samples);
        assert_eq!((palette.colour(&names[12]), palette.colour(&names[13])), (None, Some(0)));
        assert_eq!(palette.colour(&names[19]), Some(6));
        let series = Series::of(Measure::Bytes, &samples, &palette);
        assert_eq!(series.layers.len(), COLOURS);
        assert_eq!(series.layers[7].values, [(0..13).sum::<i32>() as f64]);
    }

    #[test]
    fn a_longer_pause_than_usual_is_a_gap() {
        let samples: Vec<Sample> = (0..20).map(|n| sample(600 * n, 1, 0, 0, 0)).collect();
        let series = Series::of(Measure::Connections, &samples, &Palette::choose(&[], &samples));
        assert_eq!(series.gap_seconds, 2400);
    }

    proptest! {
        #[test]
        fn every_layer_has_a_sound_value_for_every_time(
            figures in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>()), 0..12)
        ) {
            let samples: Vec<Sample> = figures.into_iter().map(|(t, u, c, o, b)| sample(t, u, c, o, b)).collect();
            let palette = Palette::choose(&[name(0), name(1)], &samples);
            for measure in [Measure::Connections, Measure::Opened, Measure::Bytes] {
                let series = Series::of(measure, &samples, &palette);
                for layer in &series.layers {
                    prop_assert_eq!(layer.values.len(), series.times.len());
                    prop_assert!(layer.values.iter().all(|value| value.is_finite() && *value >= 0.0));
                }
                prop_assert_eq!(series.sums().len(), series.times.len());
            }
        }
    }
}
