//! Queues by name: registered once, resolved, filled, emptied in order.
//!
//! covers: proxy_register_shared_queue proxy_resolve_shared_queue proxy_enqueue_shared_queue proxy_dequeue_shared_queue
//!
//! request: GET /
//! status: 200
//! body: resolve before: NotFound
//! body: register: Ok, not 0: true
//! body: register again: Ok, the same: true
//! body: resolve: Ok, the same: true
//! body: resolve by vm_id: Ok, the same: true
//! body: resolve elsewhere: NotFound
//! body: empty: Empty
//! body: enqueue: Ok, Ok, Ok
//! body: dequeue: Ok "one", Ok "caf\\xe9", Ok "", Empty
//! body: enqueue to none: NotFound
//! body: dequeue from none: NotFound

use conformance::*;

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        say!("resolve before: {}", resolve_queue("", "queue"));
        let queue = register_queue("queue");
        let same = |other: Answer| format!("{}, the same: {}", status_name(other.status), other == queue);
        let id = queue.clone().into_number() as u32;
        say!("register: {}, not 0: {}", status_name(queue.status), id != 0);
        say!("register again: {}", same(register_queue("queue")));
        say!("resolve: {}", same(resolve_queue("", "queue")));
        say!("resolve by vm_id: {}", same(resolve_queue("shared_queue", "queue")));
        say!("resolve elsewhere: {}", resolve_queue("another vm_id", "queue"));
        say!("empty: {}", dequeue(id));
        say!("enqueue: {}, {}, {}", enqueue(id, "one"), enqueue(id, b"caf\xe9"), enqueue(id, ""));
        say!("dequeue: {}, {}, {}, {}", dequeue(id), dequeue(id), dequeue(id), dequeue(id));
        say!("enqueue to none: {}", enqueue(0x7fff_ffff, "x"));
        say!("dequeue from none: {}", dequeue(0x7fff_ffff));
        reply()
    }
}
