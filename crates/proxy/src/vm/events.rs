//! What happens to the VMs of a worker outside of streams: results of HTTP calls, ticks, queues.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use weir_abi::limits::MIN_TICK_PERIOD;
use weir_host::{CallFailure, ContextId, HttpCall, HttpCallResponse};
use weir_outbound::Caller;
use weir_plan::Reach;

use crate::vm::slot::LiveVm;

/// The events of a worker's VMs. A VM may begin calls and ticks while it is still being started on another thread; what
/// comes of them waits for it.
#[derive(Default)]
pub(crate) struct Events {
    instances: RefCell<HashMap<u64, Instance>>,
}

#[derive(Default)]
struct Instance {
    /// Unset while the VM is being started.
    vm: Option<Weak<LiveVm>>,
    /// Events that came before the VM did.
    waiting: Vec<Event>,
    ticks: HashMap<ContextId, AbortHandle>,
    calls: HashMap<u32, AbortHandle>,
    caller: Option<Caller>,
}

enum Event {
    HttpCallResponse(u32, Result<HttpCallResponse, CallFailure>),
    QueueReady(ContextId, u32),
}

impl Drop for Instance {
    fn drop(&mut self) {
        for task in self.ticks.values().chain(self.calls.values()) {
            task.abort();
        }
    }
}

impl Events {
    /// A VM has come to its worker, and gets what has been waiting for it.
    pub fn arrived(&self, vm: &Rc<LiveVm>) {
        let waiting = {
            let mut instances = self.instances.borrow_mut();
            let instance = instances.entry(vm.instance).or_default();
            instance.vm = Some(Rc::downgrade(vm));
            std::mem::take(&mut instance.waiting)
        };
        for event in waiting {
            deliver(vm, event);
        }
    }

    /// A VM is no more.
    pub fn forget(&self, instance: u64) {
        let gone = self.instances.borrow_mut().remove(&instance);
        drop(gone);
    }

    /// Begins a call.
    pub fn http_call(self: &Rc<Self>, instance: u64, reach: &Arc<Reach>, token: u32, call: HttpCall) {
        let caller = {
            let mut instances = self.instances.borrow_mut();
            let entry = instances.entry(instance).or_default();
            entry.caller.get_or_insert_with(|| reach.caller()).clone()
        };
        let calling = caller.call(call);
        let events = Rc::clone(self);
        let task = tokio::task::spawn_local(async move {
            let result = calling.await;
            if let Some(entry) = events.instances.borrow_mut().get_mut(&instance) {
                entry.calls.remove(&token);
            }
            events.happened(instance, Event::HttpCallResponse(token, result));
        });
        if let Some(entry) = self.instances.borrow_mut().get_mut(&instance) {
            entry.calls.insert(token, task.abort_handle());
        }
    }

    /// Sets or ends a tick.
    pub fn tick(self: &Rc<Self>, instance: u64, plugin: ContextId, period: Option<Duration>) {
        let mut instances = self.instances.borrow_mut();
        let entry = instances.entry(instance).or_default();
        if let Some(old) = entry.ticks.remove(&plugin) {
            old.abort();
        }
        if let Some(period) = period {
            let task = tokio::task::spawn_local(ticking(
                Rc::downgrade(self),
                instance,
                plugin,
                period.max(MIN_TICK_PERIOD),
            ));
            entry.ticks.insert(plugin, task.abort_handle());
        }
    }

    /// A queue has something.
    pub fn queue(&self, instance: u64, plugin: ContextId, queue: u32) {
        self.happened(instance, Event::QueueReady(plugin, queue));
    }

    fn happened(&self, instance: u64, event: Event) {
        let vm = {
            let mut instances = self.instances.borrow_mut();
            // Unknown: the VM is being started and has told us nothing so far. What waits for one that never comes is
            // forgotten with it.
            let entry = instances.entry(instance).or_default();
            match &entry.vm {
                Some(vm) => vm.upgrade(),
                None => {
                    entry.waiting.push(event);
                    return;
                }
            }
        };
        if let Some(vm) = vm {
            deliver(&vm, event);
        }
    }

    fn vm(&self, instance: u64) -> Option<Rc<LiveVm>> {
        self.instances.borrow().get(&instance)?.vm.as_ref()?.upgrade()
    }
}

async fn ticking(events: Weak<Events>, instance: u64, plugin: ContextId, period: Duration) {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    // A guest that is slower than its own tick must not be called without pause.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let Some(events) = events.upgrade() else {
            return;
        };
        // Not there yet: the first tick comes when it is.
        if let Some(vm) = events.vm(instance)
            && vm.enter(|vm| vm.on_tick(plugin)).is_err()
        {
            return;
        }
    }
}

fn deliver(vm: &LiveVm, event: Event) {
    // A VM that dies of it has been taken care of.
    let _ = match event {
        Event::HttpCallResponse(token, result) => vm.enter(|vm| vm.on_http_call_response(token, result)),
        Event::QueueReady(plugin, queue) => vm.enter(|vm| vm.on_queue_ready(plugin, queue)),
    };
}
