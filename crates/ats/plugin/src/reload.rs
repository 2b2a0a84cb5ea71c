//! The occasions of reloads: `traffic_ctl config reload`, and a change of a file that is to be watched.

use std::ffi::{c_int, c_void};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use weir_ats_sys::{TSCont, TSContCreate, TSEvent, TSMgmtUpdateRegister, TSMutexCreate};
use weir_plan::FileWatch;

use crate::guard;
use crate::plugin::plugin;

/// Changes within this time of each other are one.
const QUIET: Duration = Duration::from_millis(100);

/// Why the thread that reloads is woken.
enum Wake {
    /// The server's configuration is being reloaded.
    Asked,
    /// A file may have changed.
    File,
    /// What is loaded has changed: other files may have to be watched.
    Follow,
    /// A remap rule is no more.
    Dropped(usize),
}

static WAKE: OnceLock<Mutex<Sender<Wake>>> = OnceLock::new();

/// Has the server tell us when its configuration is reloaded, and starts the thread that does our part.
pub(crate) fn register() {
    let (sender, receiver) = channel();
    if WAKE.set(Mutex::new(sender.clone())).is_err() {
        return;
    }
    let spawned = std::thread::Builder::new()
        .name("weir-reload".to_owned())
        .spawn(move || run(&receiver, &sender));
    if let Err(error) = spawned {
        tracing::error!("filters cannot be reloaded without a restart: {error}");
        return;
    }
    // SAFETY: the handler and the new mutex fit; the text ends with NUL. No file name: the event comes at every reload.
    unsafe {
        let cont = TSContCreate(on_reload, TSMutexCreate());
        TSMgmtUpdateRegister(cont, c"wasm".as_ptr(), std::ptr::null());
    }
}

/// Other files may have to be watched.
pub(crate) fn follow() {
    wake(Wake::Follow);
}

/// A remap rule has no use for its instance any more.
pub(crate) fn dropped(instance: usize) {
    wake(Wake::Dropped(instance));
}

fn wake(why: Wake) {
    if let Some(sender) = WAKE.get() {
        // The thread lives as long as the process.
        let _ = sender.lock().unwrap_or_else(PoisonError::into_inner).send(why);
    }
}

unsafe extern "C" fn on_reload(_cont: TSCont, _event: TSEvent, _data: *mut c_void) -> c_int {
    guard::event(|| wake(Wake::Asked))
}

fn run(wakes: &Receiver<Wake>, sender: &Sender<Wake>) {
    // SAFETY: makes this thread one that may leave events for the server's threads; nothing else is asked of it.
    unsafe { weir_ats_sys::TSThreadInit() };
    let (sender, again) = (sender.clone(), sender.clone());
    let mut watch = FileWatch::new(move || {
        // The thread lives as long as the process.
        let _ = sender.send(Wake::File);
    });
    while let Ok(first) = wakes.recv() {
        let mut all = vec![first];
        while let Ok(more) = wakes.recv_timeout(QUIET) {
            all.push(more);
        }
        let asked = all.iter().any(|wake| matches!(wake, Wake::Asked));
        let changed = all.iter().any(|wake| matches!(wake, Wake::File)) && watch.has_changed();
        guard::catch(|| {
            let mut control = plugin().control();
            for wake in &all {
                if let Wake::Dropped(instance) = wake {
                    control.drop_instance(*instance);
                }
            }
            if asked || changed {
                control.reload_and_report();
            } else {
                control.tidy();
            }
            watch.follow(control.watched_files());
        });
        if watch.has_changed() && !changed {
            // Between being read and being watched.
            let _ = again.send(Wake::File);
        }
    }
}
