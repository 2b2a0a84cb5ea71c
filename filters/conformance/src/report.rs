//! What the guest saw, and how it tells.

use std::cell::RefCell;

use crate::calls::{local_response, log};
use crate::kinds::{INFO, NO_GRPC_STATUS, PAUSE};

thread_local! {
    static REPORT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Adds a line to the report.
pub fn say_line(line: &str) {
    REPORT.with_borrow_mut(|report| {
        report.push_str(line);
        report.push('\n');
    });
}

/// The report so far; the next one begins empty.
pub fn take_report() -> String {
    REPORT.take()
}

/// Answers the request with the report. The value is what the callback returns then.
pub fn reply() -> u32 {
    reply_with(200)
}

/// As [`reply`], with a status.
pub fn reply_with(status: u32) -> u32 {
    local_response(status, "report", take_report(), &[], NO_GRPC_STATUS);
    PAUSE
}

/// Writes the report to the log, a line each.
pub fn log_report() {
    for line in take_report().lines() {
        log(INFO, line);
    }
}
