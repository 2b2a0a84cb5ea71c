//! The admin pages, and when the server is ready.

use std::ffi::{c_int, c_void};
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};

use weir_admin::{AdminServer, Readiness};
use weir_ats_sys::{
    TS_EVENT_LIFECYCLE_PORTS_READY, TS_EVENT_LIFECYCLE_SHUTDOWN, TS_LIFECYCLE_PORTS_READY_HOOK,
    TS_LIFECYCLE_SHUTDOWN_HOOK, TSCont, TSContCreate, TSEvent, TSLifecycleHookAdd, TSMutexCreate,
};
use weir_host::Shared;

use crate::guard;
use crate::plugin::plugin;

/// The admin pages of the process.
pub(crate) struct Admin {
    shared: Shared,
    readiness: Readiness,
    /// They serve as long as the process lives.
    servers: Mutex<Vec<AdminServer>>,
}

impl Admin {
    /// Serves nothing so far.
    pub fn new(shared: Shared) -> Self {
        Self {
            shared,
            readiness: Readiness::default(),
            servers: Mutex::default(),
        }
    }

    /// Serves the pages on an address as well. Called while the server reads `plugin.config`, before VMs are started.
    pub fn serve(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        let server = AdminServer::start(listener, self.shared.clone(), self.readiness.clone())?;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if servers.is_empty() {
            follow_life_cycle();
        }
        servers.push(server);
        Ok(())
    }
}

/// Has the server tell us when it accepts connections, and when it ends.
fn follow_life_cycle() {
    // SAFETY: the handler and the new mutex fit, and the continuation lives as long as the process.
    unsafe {
        let cont = TSContCreate(on_life_cycle, TSMutexCreate());
        TSLifecycleHookAdd(TS_LIFECYCLE_PORTS_READY_HOOK, cont);
        TSLifecycleHookAdd(TS_LIFECYCLE_SHUTDOWN_HOOK, cont);
    }
}

/// Filters of `plugin.config` and of remap rules are started before the server opens its ports.
unsafe extern "C" fn on_life_cycle(_cont: TSCont, event: TSEvent, _data: *mut c_void) -> c_int {
    guard::event(|| match event {
        TS_EVENT_LIFECYCLE_PORTS_READY => plugin().admin.readiness.started(),
        TS_EVENT_LIFECYCLE_SHUTDOWN => plugin().admin.readiness.ending(),
        _ => {}
    })
}
