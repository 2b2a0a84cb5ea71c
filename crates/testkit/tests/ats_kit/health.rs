//! A Traffic Server that is asked how it is.

use std::time::Duration;

use serde_json::Value;
use weir_testkit::client::{Http1, Request};
use weir_testkit::{Ats, AtsConfig};

use super::wait_until;

/// What no log may hold, whatever filters and clients do.
const DISASTERS: [&str; 8] = [
    "the plugin panicked",
    "[wasm] a panic",
    "was entered while it was running",
    "Fatal",
    "NOTE: Traffic Server received Sig",
    "SIGSEGV",
    "SIGABRT",
    "failed assertion",
];

/// How long to wait for its last words.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Lines of its log that a failed test shows.
const LAST: usize = 60;

/// A running server that answers questions about itself.
pub struct Server {
    ats: Ats,
    pid: u32,
}

impl Server {
    /// Starts one whose statistics are always fresh.
    pub fn start(config: AtsConfig) -> Self {
        let mut config = config.record("proxy.config.raw_stat_sync_interval_ms", 50);
        config.plugin.insert(0, "stats_over_http.so".to_owned());
        let ats = Ats::start(&config).unwrap();
        let pid = ats.server().pid();
        Self { ats, pid }
    }

    /// The server.
    pub fn ats(&self) -> &Ats {
        &self.ats
    }

    /// A statistic; 0 where there is none.
    pub fn stat(&self, name: &str) -> i64 {
        self.stats([name])[0]
    }

    /// Several statistics of one moment.
    pub fn stats<const N: usize>(&self, names: [&str; N]) -> [i64; N] {
        let request = Request::get("/_stats").header("connection", "close");
        let outcome = Http1::connect(self.ats.address()).unwrap().request(&request);
        let response = outcome.unwrap().response().unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        let page: Value = serde_json::from_slice(&response.body).unwrap();
        names.map(|name| {
            let value = &page["global"][name];
            let text = value.as_str().map(str::to_owned);
            text.unwrap_or_else(|| value.to_string()).parse().unwrap_or(0)
        })
    }

    /// The same process as in the beginning, and nothing in its log that must not be there.
    pub fn lives(&self) {
        let log = self.ats.logs().text();
        assert!(self.ats.server().is_alive(), "it has died:\n{log}");
        assert_eq!(self.ats.server().pid(), self.pid);
        for disaster in DISASTERS {
            assert!(!log.contains(disaster), "{disaster}:\n{log}");
        }
    }

    /// Waits until no transaction is left anywhere, and no stream in any guest; then it lives.
    pub fn settles(&self) {
        const NAMES: [&str; 4] = [
            "proxy.process.http.current_client_transactions",
            "proxy.process.http.current_server_transactions",
            "proxy.process.http.current_active_client_connections",
            "wasm.misbehave.streams",
        ];
        let mut last = [0; 4];
        wait_until(
            || {
                last = self.stats(NAMES);
                // The question itself may be counted.
                (last[0] <= 1 && last[1] == 0 && last[2] <= 1 && last[3] == 0).then_some(())
            },
            || String::from("it does not settle"),
        );
        self.lives();
    }
}

impl Drop for Server {
    /// A test that fails says what the server said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Why it has died may be said by its manager, a little later.
            std::thread::park_timeout(AFTERWARDS);
            let log = self.ats.logs().text();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(LAST);
            eprintln!("The server's last lines:\n{}", lines[last..].join("\n"));
        }
    }
}
