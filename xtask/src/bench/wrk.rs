//! One measurement: load from wrk, CPU time of the proxy from `/proc`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::cpu;
use crate::sh;

/// The load, and the number of runs.
#[derive(Clone, Copy, clap::Args)]
pub struct Load {
    /// The number of times that each subject is measured; tables give medians.
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Seconds of load for one measurement.
    #[arg(long, default_value_t = 4)]
    pub seconds: u32,
    /// Connections that the load generator keeps open.
    #[arg(long, default_value_t = 32)]
    pub connections: u32,
}

/// The subject of the load.
pub struct Target {
    /// The name in tables.
    pub label: String,
    /// The process whose CPU time counts.
    pub pid: u32,
    /// The address of requests.
    pub url: String,
    /// The script of wrk for the requests, in Lua; a plain request without.
    pub script: Option<PathBuf>,
}

/// The result of one measurement.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// CPU seconds of the proxy for 100,000 requests.
    pub cpu_per_100k: f64,
    /// Requests a second as the client saw them.
    pub requests_per_second: f64,
}

impl Target {
    /// Loads it for a second.
    pub fn warm_up(&self, load: Load) -> Result<()> {
        self.measure(Load { seconds: 1, ..load }).map(drop)
    }

    /// Loads it for some seconds.
    pub fn measure(&self, load: Load) -> Result<Sample> {
        let Load {
            seconds, connections, ..
        } = load;
        let before = cpu::seconds(self.pid)?;
        let mut wrk = sh::command("wrk", &format!("-t1 -c{connections} -d{seconds}s"));
        if let Some(script) = &self.script {
            wrk.arg("-s").arg(script);
        }
        wrk.arg(&self.url);
        let text = sh::output(wrk)?;
        let used = cpu::seconds(self.pid)? - before;

        // An error answer is cheap to give and would make a broken subject look fast.
        ensure!(
            !text.contains("Non-2xx"),
            "{} answered with errors:\n{text}",
            self.label
        );
        let requests = requests(&text).with_context(|| format!("wrk printed something else:\n{text}"))?;
        Ok(Sample {
            cpu_per_100k: used * 100_000.0 / requests,
            requests_per_second: requests / f64::from(seconds),
        })
    }
}

/// The number before `requests in`.
fn requests(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    line.split_whitespace()
        .next()?
        .parse()
        .ok()
        .filter(|count| *count > 0.0)
}

#[cfg(test)]
mod tests {
    use super::requests;

    #[test]
    fn the_number_of_requests_is_read() {
        assert_eq!(
            requests("Running\n  93711 requests in 2.00s, 11.35MB read\nRequests/sec: 1\n"),
            Some(93711.0)
        );
        assert_eq!(requests("  0 requests in 2.00s, 0.00B read\n"), None);
        assert_eq!(requests("unable to connect\n"), None);
    }
}
