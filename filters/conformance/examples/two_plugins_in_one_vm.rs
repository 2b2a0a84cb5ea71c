//! Filters whose VMs are equal share one: each has a plugin context of its own, and they see each other's memory.
//!
//! covers: proxy_on_context_create proxy_on_vm_start proxy_on_configure
//! plugin-root-id: one
//! configuration: first
//! then: a plugin of the same VM
//! plugin-root-id: two
//! configuration: second
//!
//! request: GET /
//! status: 200
//! header: x-first: 1 starts, 2 plugins, root one
//! header: x-second: 1 starts, 2 plugins, root two

use conformance::*;
use std::cell::Cell;

thread_local! {
    static STARTS: Cell<u32> = const { Cell::new(0) };
    static PLUGINS: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_vm_start(_: u32, _: u32) -> u32 {
        STARTS.set(STARTS.get() + 1);
        1
    }

    fn proxy_on_configure(_: u32, _: u32) -> u32 {
        PLUGINS.set(PLUGINS.get() + 1);
        1
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let name = buffer(PLUGIN_CONFIGURATION, 0, u32::MAX).into_text();
        let root = property("plugin_root_id").into_text();
        let line = format!("{} starts, {} plugins, root {root}", STARTS.get(), PLUGINS.get());
        add_header(RESPONSE, format!("x-{name}"), line);
        CONTINUE
    }
}
