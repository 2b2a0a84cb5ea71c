//! Fields of messages: those that filters see, and the fate of those that they write.

use serde_json::json;
use weir_testkit::client::Request;
use weir_testkit::config::{filter, set};
use weir_testkit::{Ats, AtsConfig, Guests, Origin};

use crate::{get, module, request, values};

/// Fields of the server's connection are not shown, and not counted either.
#[test]
fn fields_of_the_connection_are_neither_seen_nor_counted() {
    let origin = Origin::start().unwrap();
    let guest = Guests::build().unwrap().example("get_header_map_pairs").unwrap();
    let ats =
        Ats::start(&AtsConfig::new(origin.address()).filter(filter("pairs", &guest, "wasmtime"))).unwrap();
    let own = ["keep-alive: timeout=5", "upgrade: other"];
    for (connection, seen) in [(None, &own[..]), (Some("keep-alive, upgrade"), &[][..])] {
        let mut sent = Request::get("/")
            .header("keep-alive", "timeout=5")
            .header("upgrade", "other")
            .header("proxy-connection", "keep-alive")
            .header("x-end", "to-end");
        if let Some(connection) = connection {
            sent = sent.header("connection", connection);
        }
        let text = request(ats.address(), &sent).text();
        let mut lines = text.lines();
        let count: usize = lines.next().unwrap().parse().unwrap();
        // The answers for other maps follow the pairs.
        let pairs: Vec<&str> = lines.take_while(|line| !line.contains(" -> ")).collect();
        assert_eq!(count, pairs.len(), "{text}");
        let expected: Vec<&str> = seen.iter().copied().chain(["x-end: to-end"]).collect();
        assert_eq!(pairs[4..], expected, "{text}");
    }
}

/// The server's side remembers names that filters add, and the last value of each: neither may come into another message.
#[test]
fn fields_of_one_name_keep_their_own_values() {
    let origin = Origin::start().unwrap();
    let long = "y".repeat(2000);
    let added = ["a", "a", "b", "", long.as_str(), "a"];
    let side = json!({ "set": { "x-set": ["1", "1", "2"] }, "add": { "x-added": added } });
    let mut writer = filter("writer", &module("header-rewrite"), "wasmtime");
    set(
        &mut writer,
        "configuration",
        json!({ "request": side, "response": side }),
    );
    let ats = Ats::start(&AtsConfig::new(origin.address()).filter(writer)).unwrap();
    for round in 0..3 {
        let response = get(&ats, "/?header=x-set:0&header=x-set:0&header=x-added:first");
        assert_eq!(values(&response, "x-set"), ["2"], "round {round}");
        let expected = ["first", "a", "a", "b", "", long.as_str(), "a"];
        assert_eq!(values(&response, "x-added"), expected, "round {round}");
        let record = origin.records().pop().unwrap();
        assert_eq!(record.values("x-set"), [b"2"], "round {round}");
        let sent = added.map(str::as_bytes);
        assert_eq!(record.values("x-added"), sent, "round {round}");
    }
}
