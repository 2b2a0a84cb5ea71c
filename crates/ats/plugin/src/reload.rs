//! The occasions of reloads: `traffic_ctl config reload`, and a change of a file that is to be watched.

use std::ffi::{c_int, c_void};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use weir_ats_sys::{TSCont, TSContCreate, TSEvent, TSMgmtUpdateRegister, TSMutexCreate};
use weir_plan::{FileWatch, Loaded};

use crate::control::Kept;
use crate::guard;
use crate::plugin::plugin;

/// Requests within this time of each other are one.
const QUIET: Duration = Duration::from_millis(100);

/// The longest that further requests put the first one off.
const LONGEST: Duration = Duration::from_secs(1);

/// Why the thread that reloads is woken.
enum Wake {
    /// The server's configuration is being reloaded.
    Asked,
    /// The watch of the files says that a reload is due.
    File,
    /// The loaded documents have changed: other files may have to be watched.
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
    let sender = sender.clone();
    let watch = FileWatch::start(move |_| {
        // The thread lives as long as the process.
        let _ = sender.send(Wake::File);
    });
    if let Err(error) = &watch {
        tracing::error!("watch: changes of files cause no reload until a restart: {error}");
    }
    while let Ok(first) = wakes.recv() {
        let until = Instant::now() + LONGEST;
        let mut all = vec![first];
        while let Ok(more) = wakes.recv_timeout(QUIET.min(until.saturating_duration_since(Instant::now()))) {
            all.push(more);
        }
        let reloads = all.iter().any(|wake| matches!(wake, Wake::Asked | Wake::File));
        guard::catch(|| {
            let mut control = plugin().control();
            for wake in &all {
                if let Wake::Dropped(instance) = wake {
                    control.drop_instance(*instance);
                }
            }
            let reloaded = reloads.then(|| control.reload_and_report());
            if !reloads {
                control.tidy();
            }
            let files = control.watched_files();
            match (&watch, reloaded) {
                (Ok(watch), Some(Ok(()))) => watch.reloaded(files, Loaded::Yes),
                (Ok(watch), Some(Err(Kept))) => watch.reloaded(files, Loaded::No),
                (Ok(watch), None) => watch.follow(files),
                (Err(_), _) => {}
            }
        });
    }
}
