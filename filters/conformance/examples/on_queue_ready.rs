//! The plugin that registered a queue is woken when something lies in it.
//!
//! covers: proxy_on_queue_ready proxy_enqueue_shared_queue proxy_dequeue_shared_queue
//!
//! request: GET /
//! status: 200
//! body: ready: the plugin's context true, the queue true
//! body: Ok "job"

use conformance::*;
use std::cell::Cell;

thread_local! {
    static PLUGIN: Cell<u32> = const { Cell::new(0) };
    static QUEUE: Cell<u32> = const { Cell::new(0) };
    static STREAM: Cell<u32> = const { Cell::new(0) };
}

guest! {
    fn proxy_on_configure(context: u32, _: u32) -> u32 {
        PLUGIN.set(context);
        QUEUE.set(register_queue("jobs").into_number() as u32);
        1
    }

    fn proxy_on_request_headers(context: u32, _: u32, _: u32) -> u32 {
        STREAM.set(context);
        enqueue(QUEUE.get(), "job");
        PAUSE
    }

    fn proxy_on_queue_ready(context: u32, queue: u32) {
        say!("ready: the plugin's context {}, the queue {}", context == PLUGIN.get(), queue == QUEUE.get());
        say!("{}", dequeue(queue));
        set_effective_context(STREAM.get());
        reply();
    }
}
