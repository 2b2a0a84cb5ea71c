//! One JSON line for each exchange.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_config::AccessLog;
use weir_log::{LogTarget, LogWriter};

use crate::stream::StreamState;
use crate::stream::facts::protocol_name;

/// Lines are handed over when so many bytes have come together, and every so often by the worker.
const BATCH: usize = 32 << 10;

/// Starts the access log; `None` where none is wanted.
pub(crate) fn start(log: &AccessLog) -> io::Result<Option<LogWriter>> {
    let target = match log {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => LogTarget::stdout(),
        AccessLog::Stderr => LogTarget::stderr(),
        AccessLog::File(path) => LogTarget::file(path.clone()),
    }?;
    LogWriter::start("access log", target).map(Some)
}

/// A worker's end of the access log.
#[derive(Default)]
pub(crate) struct Lines {
    writer: Option<LogWriter>,
    batch: RefCell<Vec<u8>>,
}

/// The facts of a line beyond the stream's state.
pub(crate) struct Verdict<'a, 'n> {
    /// The answer came from the proxy or a filter, not from the upstream.
    pub local: bool,
    /// The response was sent to its end.
    pub complete: bool,
    /// The filters of the chain, in its order.
    pub filters: &'a mut dyn Iterator<Item = &'n str>,
}

impl Lines {
    /// A worker's end of a log, if there is one.
    pub fn new(writer: Option<LogWriter>) -> Self {
        Self {
            writer,
            batch: RefCell::default(),
        }
    }

    /// Returns true if lines are wanted.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds the line of an exchange.
    pub fn add(&self, state: &StreamState, verdict: &mut Verdict<'_, '_>) {
        let mut batch = self.batch.borrow_mut();
        line(&mut batch, state, verdict);
        let full = batch.len() >= BATCH;
        drop(batch);
        if full {
            self.flush();
        }
    }

    /// Adds the line of a request that was refused before it could be read as one.
    pub fn add_refused(&self, client: SocketAddr, status: u16, reason: &str) {
        let mut batch = self.batch.borrow_mut();
        let mut json = Json {
            out: &mut batch,
            first: true,
        };
        json.begin();
        json.text("time", timestamp(SystemTime::now()).as_bytes());
        json.text("client", client.to_string().as_bytes());
        json.number("status", status.into());
        json.text("details", reason.as_bytes());
        json.text("by", b"proxy");
        json.literal("complete", "true");
        json.end();
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        let mut batch = self.batch.borrow_mut();
        if let Some(writer) = &self.writer
            && !batch.is_empty()
        {
            writer.push(&batch);
        }
        batch.clear();
    }
}

fn line(out: &mut Vec<u8>, state: &StreamState, verdict: &mut Verdict<'_, '_>) {
    let facts = &state.messages.facts;
    let request = &state.messages.request;
    let mut json = Json { out, first: true };
    json.begin();
    json.text("time", timestamp(facts.began).as_bytes());
    json.text("client", facts.connection.peer.to_string().as_bytes());
    json.text("method", request.method.as_str().as_bytes());
    json.text("host", &request.authority);
    json.text("path", request.path.as_bytes());
    json.text("protocol", protocol_name(request.version).as_bytes());
    match &state.messages.response {
        Some(response) if state.response_sent => json.number("status", response.status.as_u16().into()),
        // Nothing was answered.
        _ => json.number("status", 0),
    }
    json.number("request_bytes", facts.request_body);
    json.number("response_bytes", facts.response_body);
    json.micros("duration_us", facts.duration);
    json.text("route", facts.route.as_bytes());
    json.text("upstream", facts.cluster.as_bytes());
    if let Some(upstream) = &facts.upstream {
        json.text(
            "upstream_address",
            upstream.connection.peer_addr.to_string().as_bytes(),
        );
        json.micros("upstream_duration_us", facts.backend_latency);
    }
    json.text("details", state.reset.unwrap_or(&facts.details).as_bytes());
    if let Some(failure) = &facts.upstream_failure {
        json.text("upstream_failure", failure.as_bytes());
    }
    json.text("by", if verdict.local { b"proxy" } else { b"upstream" });
    json.literal("complete", if verdict.complete { "true" } else { "false" });
    json.list("filters", verdict.filters);
    json.end();
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Json<'_> {
    fn begin(&mut self) {
        self.out.push(b'{');
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        escape(self.out, value);
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        // Writing to a vector cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn micros(&mut self, key: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.number(key, u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn literal(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.extend_from_slice(value.as_bytes());
    }

    fn list(&mut self, key: &str, values: &mut dyn Iterator<Item = &str>) {
        self.key(key);
        self.out.push(b'[');
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            escape(self.out, value.as_bytes());
        }
        self.out.push(b']');
    }
}

/// Writes a JSON string. Bytes that are not UTF-8 become U+FFFD.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    for c in String::from_utf8_lossy(value).chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a civil date: years that begin in March have their leap day at the end.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::state;

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        let at = |seconds, millis: u32| timestamp(UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_827_696, 7), "2000-02-29T12:34:56.007Z");
        assert_eq!(at(1_709_164_800, 0), "2024-02-29T00:00:00.000Z");
        assert_eq!(at(4_107_542_399, 999), "2100-02-28T23:59:59.999Z");
        assert_eq!(at(1_735_689_599, 0), "2024-12-31T23:59:59.000Z");
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sends() {
        let state = state(1);
        state.borrow_mut().messages.request.authority =
            bytes::Bytes::from_static(b"a\"b\\\n\xff\x7f\xc2\x85");
        let mut out = Vec::new();
        let mut filters = ["one", "two"].into_iter();
        line(
            &mut out,
            &state.borrow(),
            &mut Verdict {
                local: true,
                complete: false,
                filters: &mut filters,
            },
        );
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert!(!out.contains(&0x85), "a C1 control");
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["host"], "a\"b\\\n\u{fffd}\u{7f}\u{85}");
        assert_eq!(value["status"], 0);
        assert_eq!(value["filters"], serde_json::json!(["one", "two"]));
        assert_eq!(value["complete"], false);
    }
}
