//! Ticks come for the plugin context, also when a stream asked for them; 0 ends them.
//!
//! covers: proxy_set_tick_period_milliseconds proxy_on_tick
//!
//! request: GET /
//! status: 200
//! log: info: ticks: set Ok
//! log: info: ticks: tick 1 for the plugin context true
//! log: info: ticks: tick 2 for the plugin context true
//! log: info: ticks: tick 3 for the plugin context true
//! log: info: ticks: end Ok
//! no-log: ticks: tick 4

use conformance::*;
use std::cell::Cell;

thread_local! {
    static PLUGIN: Cell<u32> = const { Cell::new(0) };
    static TICKS: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_context_create(context: u32, parent: u32) {
        if parent == 0 {
            PLUGIN.set(context);
        }
    }

    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        note!("ticks: set {}", set_tick_period(20));
        CONTINUE
    }

    fn proxy_on_tick(context: u32) {
        TICKS.set(TICKS.get() + 1);
        note!("ticks: tick {} for the plugin context {}", TICKS.get(), context == PLUGIN.get());
        if TICKS.get() == 3 {
            note!("ticks: end {}", set_tick_period(0));
        }
    }
}
