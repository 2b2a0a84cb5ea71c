//! The plugin as the process has it: one, whichever way it was loaded, and however often.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use weir_ats_sys::{
    TS_HTTP_READ_REQUEST_HDR_HOOK, TS_HTTP_SEND_RESPONSE_HDR_HOOK, TS_HTTP_TXN_CLOSE_HOOK, TS_SUCCESS,
    TS_USER_ARGS_GLB, TSConfigDirGet, TSCont, TSContCreate, TSHttpHookAdd, TSMgmtFloatGet, TSMgmtIntGet,
    TSMutex, TSRuntimeDirGet, TSUserArgIndexNameLookup, TSUserArgIndexReserve, Version,
};
use weir_host::{Ceiling, Shared};
use weir_meters::Meters;

use crate::admin::Admin;
use crate::control::Control;
use crate::hub::Hub;
use crate::{foreign, log, net_thread, reload, runtime_options, stats, txn};

/// The instance of `plugin.config`; remap rules have the others.
pub(crate) const GLOBAL: usize = 0;

/// Environment variable that has transactions change threads; see [`Plugin::moves_transactions`].
const MOVE: &str = "WEIR_ATS_TEST_MOVE";

/// The plugin.
pub(crate) struct Plugin {
    /// Handles hooks that are added to single transactions.
    pub txn_cont: TSCont,
    /// Handles the hook of single transactions that comes after those of all other plugins.
    pub last_cont: TSCont,
    /// The server answers `Expect: 100-continue` by itself.
    pub answers_continue: bool,
    /// Each time filters let a transaction go it goes on on another net thread: for tests alone. The server moves one only
    /// where another plugin re-enables it from a thread of its own, and nothing of it may depend on the thread then.
    pub moves_transactions: bool,
    /// The process's counts about itself.
    meters: Meters,
    /// The bound of the memory that the host holds for all filters.
    pub ceiling: Ceiling,
    /// The admin pages.
    pub admin: Admin,
    /// The way to what waits.
    pub hub: Hub,
    control: Mutex<Control>,
    global_hooks: AtomicBool,
}

/// Why the plugin cannot work in this server at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error(transparent)]
    Load(#[from] weir_ats_sys::LoadError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error(
        "this server runs another copy of wasm.so already; a copy that takes its place while the server runs is not used: restart \
         the server"
    )]
    SecondCopy,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// The plugin, once [`setup`] has succeeded; all callbacks of the server come after that.
#[inline]
pub(crate) fn plugin() -> &'static Plugin {
    PLUGIN.get().unwrap_or_else(|| {
        // No hook is added before, so the server cannot have called us.
        unreachable!("the plugin was called before it was set up")
    })
}

/// The meters of the process, once [`setup`] has succeeded.
#[inline]
pub(crate) fn meters() -> &'static Meters {
    &plugin().meters
}

/// Prepares the process, once.
pub(crate) fn setup() -> Result<&'static Plugin, SetupError> {
    static ONCE: Mutex<()> = Mutex::new(());
    let version = weir_ats_sys::load()?;
    log::install()?;
    let _once = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plugin) = PLUGIN.get() {
        return Ok(plugin);
    }
    claim_process()?;
    let plugin = make(version)?;
    Ok(PLUGIN.get_or_init(|| plugin))
}

/// Claims the process for this copy of the library. Rules alone load a new copy once the file has been replaced, and two
/// copies would each have VMs, threads and shared data of their own.
fn claim_process() -> Result<(), SetupError> {
    const NAME: &CStr = c"weir.copy";
    let mut slot = -1;
    let mut description = std::ptr::null();
    // SAFETY: the text ends with NUL, and the function writes to the places it is given.
    let known =
        unsafe { TSUserArgIndexNameLookup(TS_USER_ARGS_GLB, NAME.as_ptr(), &mut slot, &mut description) };
    if known == TS_SUCCESS {
        return Err(SetupError::SecondCopy);
    }
    // SAFETY: the texts end with NUL, and the function writes to the place it is given.
    let claimed = unsafe {
        TSUserArgIndexReserve(
            TS_USER_ARGS_GLB,
            NAME.as_ptr(),
            c"this process runs a copy of wasm.so".as_ptr(),
            &mut slot,
        )
    };
    if claimed != TS_SUCCESS {
        tracing::warn!(
            "other plugins have taken all user arguments; a second copy of wasm.so would not be noticed"
        );
    }
    Ok(())
}

fn make(version: &Version) -> Result<Plugin, SetupError> {
    let runtimes = runtime_options::built_in(folder(TSRuntimeDirGet));
    let shared = Shared::new(foreign::functions());
    let (hub, supervisor) = Hub::start(shared.clone())?;
    let threads = net_thread::all(net_thread_count);
    tracing::debug!(
        server = %version,
        threads = threads.len(),
        runtimes = ?runtimes,
        "wasm.so {}", env!("CARGO_PKG_VERSION")
    );
    net_thread::introduce();
    reload::register();
    log::follow_end();
    // SAFETY: the handler fits; hooks of a transaction are called under the transaction's mutex, so none is needed.
    let txn_cont = unsafe { TSContCreate(txn::on_transaction_event, TSMutex::NULL) };
    // SAFETY: as above.
    let last_cont = unsafe { TSContCreate(txn::on_last_event, TSMutex::NULL) };
    stats::keep(shared.clone())?;
    let meters = shared.meters().clone();
    let ceiling = shared.stores().ceiling().clone();
    let admin = Admin::new(shared.clone());
    let control = Control::new(runtimes, &supervisor, threads, folder(TSConfigDirGet));
    Ok(Plugin {
        txn_cont,
        last_cont,
        answers_continue: record(c"proxy.config.http.send_100_continue_response") == Some(1),
        moves_transactions: std::env::var_os(MOVE).is_some(),
        meters,
        ceiling,
        admin,
        hub,
        control: Mutex::new(control),
        global_hooks: AtomicBool::new(false),
    })
}

impl Plugin {
    /// Locks the part that loads and reloads.
    pub fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the plugin sees all transactions.
    pub fn has_global_hooks(&self) -> bool {
        self.global_hooks.load(Ordering::Acquire)
    }

    /// Has the server call us about all transactions from now on.
    pub fn add_global_hooks(&self) {
        if self.global_hooks.swap(true, Ordering::AcqRel) {
            return;
        }
        // SAFETY: the handler fits, and the continuation lives as long as the process.
        unsafe {
            let cont = TSContCreate(txn::on_global_event, TSMutex::NULL);
            TSHttpHookAdd(TS_HTTP_READ_REQUEST_HDR_HOOK, cont);
            TSHttpHookAdd(TS_HTTP_SEND_RESPONSE_HDR_HOOK, cont);
            TSHttpHookAdd(TS_HTTP_TXN_CLOSE_HOOK, cont);
        }
    }
}

/// Says which code cache is in use. Called when filters have been loaded, which fixes it.
pub(crate) fn code_cache() -> String {
    runtime_options::code_cache(&folder(TSRuntimeDirGet)).describe()
}

/// A folder of the server's: what relative file names begin at, or where it keeps things.
fn folder(getter: unsafe fn() -> *const c_char) -> PathBuf {
    // SAFETY: the getters answer a static text of the server's that ends with NUL, or null.
    let folder = unsafe { getter() };
    if folder.is_null() {
        return PathBuf::from(".");
    }
    // SAFETY: the text is not null, ends with NUL, and lives as long as the server.
    let folder = unsafe { CStr::from_ptr(folder) };
    PathBuf::from(OsStr::from_bytes(folder.to_bytes()))
}

/// A number of the server's configuration.
fn record(name: &CStr) -> Option<i64> {
    let mut value = 0;
    // SAFETY: the name ends with NUL; the value is written to.
    (unsafe { TSMgmtIntGet(name.as_ptr(), &mut value) } == TS_SUCCESS).then_some(value)
}

/// The number of net threads of the server: those that run, or before they do, those of its configuration.
fn net_thread_count() -> usize {
    running_net_threads(Path::new("/proc/self/task"))
        .unwrap_or_else(configured_net_threads)
        .clamp(1, 1024)
}

/// The number of threads that the server has named `[ET_NET n]`; `None` where there are none (yet). The server starts them
/// before it loads plugins, and counts processors otherwise than the standard library, which heeds CPU quotas.
fn running_net_threads(tasks: &Path) -> Option<usize> {
    let number = |task: std::io::Result<std::fs::DirEntry>| {
        let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        let number = name.trim_end().strip_prefix("[ET_NET ")?.strip_suffix(']')?;
        number.parse::<usize>().ok()
    };
    let highest = std::fs::read_dir(tasks).ok()?.filter_map(number).max()?;
    Some(highest + 1)
}

/// The number of net threads by the server's configuration.
fn configured_net_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let automatic = record(c"proxy.config.exec_thread.autoconfig")
        .or_else(|| record(c"proxy.config.exec_thread.autoconfig.enabled"))
        .unwrap_or(1);
    if automatic == 0 {
        let limit = record(c"proxy.config.exec_thread.limit").unwrap_or(1);
        return usize::try_from(limit).unwrap_or(1);
    }
    let mut scale = 1.5;
    // SAFETY: the name ends with NUL; the value is written to.
    unsafe { TSMgmtFloatGet(c"proxy.config.exec_thread.autoconfig.scale".as_ptr(), &mut scale) };
    (cores as f32 * scale) as usize
}

const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<Plugin>>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_threads_are_counted_by_their_names() {
        let tasks = tempfile::tempdir().unwrap();
        assert_eq!(running_net_threads(tasks.path()), None);
        for (task, name) in [
            "traffic_server",
            "[ET_NET 0]",
            "[ET_TASK 7]",
            "[ET_NET 2]",
            "[ET_NET 10]",
            "weir",
        ]
        .iter()
        .enumerate()
        {
            let task = tasks.path().join(task.to_string());
            std::fs::create_dir(&task).unwrap();
            std::fs::write(task.join("comm"), format!("{name}\n")).unwrap();
            if *name == "traffic_server" {
                assert_eq!(running_net_threads(tasks.path()), None);
            }
        }
        assert_eq!(running_net_threads(tasks.path()), Some(11));
    }
}
