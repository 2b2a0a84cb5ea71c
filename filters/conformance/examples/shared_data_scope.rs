//! Shared data and queues belong to a vm_id: VMs of the same one see them, others do not.
//!
//! covers: proxy_get_shared_data proxy_set_shared_data proxy_register_shared_queue proxy_resolve_shared_queue
//! vm-id: shared_data_scope
//! vm-configuration: writer
//! then: another VM of the same vm_id
//! vm-id: shared_data_scope
//! vm-configuration: reader
//! then: a VM of another vm_id
//! vm-id: shared_data_scope_other
//! vm-configuration: stranger
//!
//! request: GET /
//! status: 200
//! header: x-writer: wrote
//! header: x-reader: Ok "value", queue Ok, the writer's true
//! header: x-stranger: NotFound, queue NotFound, by vm_id Ok

use conformance::*;
use std::cell::RefCell;

thread_local! {
    static ROLE: RefCell<String> = const { RefCell::new(String::new()) };
}

guest! {
    fn proxy_on_vm_start(_: u32, _: u32) -> u32 {
        ROLE.replace(buffer(VM_CONFIGURATION, 0, u32::MAX).into_text());
        1
    }

    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let role = ROLE.with_borrow(Clone::clone);
        let report = match role.as_str() {
            "writer" => {
                set_shared_data("key", "value", 0);
                let queue = register_queue("queue").into_number();
                set_shared_data("queue", queue.to_string(), 0);
                "wrote".to_owned()
            }
            "reader" => {
                let queue = resolve_queue("", "queue");
                let same = shared_data("queue").0.into_text() == queue.clone().into_number().to_string();
                format!("{}, queue {}, the writer's {same}", shared_data("key").0, status_name(queue.status))
            }
            _ => format!(
                "{}, queue {}, by vm_id {}",
                shared_data("key").0,
                resolve_queue("", "queue"),
                status_name(resolve_queue("shared_data_scope", "queue").status),
            ),
        };
        add_header(REQUEST, format!("x-{role}"), report);
        CONTINUE
    }

    fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
        let name = ROLE.with_borrow(|role| format!("x-{role}"));
        add_header(RESPONSE, &name, header(REQUEST, &name).into_bytes());
        CONTINUE
    }
}
