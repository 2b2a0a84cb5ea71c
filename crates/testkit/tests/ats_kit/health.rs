//! A Traffic Server that is asked how it is.

use std::time::Duration;

use serde_json::Value;
use weir_testkit::client::{Http1, Request};
use weir_testkit::{Ats, AtsConfig};

use super::wait_until;

/// Words that no log may hold, whatever filters and clients do.
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

/// The longest wait for the server's last words.
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
        let is_10 = self.ats.server().installation().version().is_10();
        wait_until(
            || is_settled(self.stats(NAMES), is_10).then_some(()),
            || String::from("it does not settle"),
        );
        self.lives();
    }
}

/// True if nothing is left but the question itself, by the numbers of client transactions, server transactions, client
/// connections and streams. 9.2 may count the question as a client's. 10.x always does, and counts the plugin that answers
/// it as a server besides.
fn is_settled([clients, servers, connections, streams]: [i64; 4], is_10: bool) -> bool {
    clients <= 1 && servers <= i64::from(is_10) && connections <= 1 && streams == 0
}

#[test]
fn the_question_for_statistics_is_no_transaction_that_is_left() {
    for (stats, on_9, on_10) in [
        ([0, 0, 0, 0], true, true),
        ([1, 0, 1, 0], true, true),
        ([1, 1, 1, 0], false, true),
        ([2, 1, 1, 0], false, false),
        ([1, 2, 1, 0], false, false),
        ([1, 1, 2, 0], false, false),
        ([1, 1, 1, 1], false, false),
    ] {
        assert_eq!(is_settled(stats, false), on_9, "9.2: {stats:?}");
        assert_eq!(is_settled(stats, true), on_10, "10.x: {stats:?}");
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
