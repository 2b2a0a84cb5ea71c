//! Taking figures.

use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of memory that the process shares with nobody.
pub fn private() -> f64 {
    let text = std::fs::read_to_string(Path::new("/proc/self/smaps_rollup")).expect("Linux tells");
    let kibibytes = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    let lines = text.lines().filter(|line| line.starts_with("Private_"));
    lines.filter_map(kibibytes).sum::<f64>() * 1024.0
}

/// Seconds that the work takes.
pub fn timed(work: impl FnOnce()) -> f64 {
    let since = Instant::now();
    work();
    since.elapsed().as_secs_f64()
}

/// Seconds of one round, of so many after as many again to warm up; V8 optimises in the background meanwhile.
pub fn mean(rounds: u32, mut work: impl FnMut()) -> f64 {
    let warm = Instant::now();
    let mut done = 0;
    while done < rounds || warm.elapsed() < Duration::from_millis(300) {
        work();
        done += 1;
    }
    timed(|| (0..rounds).for_each(|_| work())) / f64::from(rounds)
}

/// Of so many samples.
pub fn median(rounds: u32, mut sample: impl FnMut() -> f64) -> f64 {
    let mut samples: Vec<f64> = (0..rounds).map(|_| sample()).collect();
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A line for the program that collects figures.
pub fn print(name: &str, value: f64) {
    println!("{name}\t{value}");
}
