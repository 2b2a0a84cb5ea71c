//! Figures of the host alone: each mode in a process of its own, round by round.

use anyhow::{Context, Result};

use super::{Mode, Way};
use crate::bench::report::{median, sorted};
use crate::sh;

/// The measurements of each mode.
pub struct Figures {
    /// Names of the figures, with their units, in order.
    pub names: Vec<String>,
    /// For each mode, for each name: its samples in their order; none where the mode has no such figure.
    pub samples: Vec<Vec<Vec<f64>>>,
}

/// Measures every mode once a round; the order turns from round to round.
pub fn measure(rounds: usize) -> Result<Figures> {
    let mut figures = Figures {
        names: Vec::new(),
        samples: Mode::ALL.iter().map(|_| Vec::new()).collect(),
    };
    for round in 0..rounds {
        for turn in 0..Mode::ALL.len() {
            let index = (turn + round) % Mode::ALL.len();
            if let Some(mode) = Mode::ALL.get(index) {
                eprintln!("round {} of {rounds}: {}", round + 1, mode.label());
                figures.add(index, &once(*mode)?);
            }
        }
    }
    for sample in figures.samples.iter_mut().flatten() {
        *sample = sorted(sample.drain(..));
    }
    Ok(figures)
}

fn once(mode: Mode) -> Result<Vec<(String, f64)>> {
    let program = sh::target_dir().join("release/engine-figures");
    let mut command = sh::command(program, mode.engine);
    if mode.way == Way::Fuel {
        command.arg("fuel");
    }
    command.arg(sh::root().join("filters/target/wasm32-wasip1/release"));
    let text = sh::output(command)?;
    let read = |line: &str| {
        let (name, value) = line.split_once('\t')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines()
        .map(|line| read(line).with_context(|| format!("{}: no figure: {line}", mode.label())))
        .collect()
}

impl Figures {
    fn add(&mut self, mode: usize, values: &[(String, f64)]) {
        for (name, value) in values {
            let place = self
                .names
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    self.names.push(name.clone());
                    self.names.len() - 1
                });
            if let Some(samples) = self.samples.get_mut(mode) {
                samples.resize(samples.len().max(place + 1), Vec::new());
                samples
                    .iter_mut()
                    .skip(place)
                    .take(1)
                    .for_each(|sample| sample.push(*value));
            }
        }
    }

    /// Median, least and most of a figure of a mode.
    pub fn of(&self, mode: usize, name: usize) -> Option<[f64; 3]> {
        let samples = self.samples.get(mode)?.get(name)?;
        Some([median(samples), *samples.first()?, *samples.last()?])
    }
}
