//! WAMR as the process has it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use wamrx_sys::{
    Alloc_With_System_Allocator, RuntimeInitArgs, WASM_LOG_LEVEL_FATAL, wasm_runtime_full_init,
    wasm_runtime_get_version, wasm_runtime_set_enlarge_mem_error_callback, wasm_runtime_set_log_level,
};
use weir_engine::Unavailable;

use crate::data;
use crate::natives::Natives;

/// The runtime, started. It is never stopped: threads of the process may be inside guests until its end.
pub(crate) struct Runtime {
    natives: Mutex<Natives>,
}

impl Runtime {
    /// Starts it, once a process.
    pub fn start() -> Result<&'static Self, Unavailable> {
        static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
        let started = RUNTIME.get_or_init(|| {
            let mut arguments = RuntimeInitArgs {
                mem_alloc_type: Alloc_With_System_Allocator,
                ..RuntimeInitArgs::default()
            };
            // SAFETY: called once, before all else of WAMR; the arguments are read here alone.
            if !unsafe { wasm_runtime_full_init(&mut arguments) } {
                return None;
            }
            // SAFETY: WAMR has started. What it has to say it says to the caller as well; standard output is not its place.
            unsafe { wasm_runtime_set_log_level(WASM_LOG_LEVEL_FATAL) };
            // SAFETY: WAMR has started; the callback lives for ever and takes no user data.
            unsafe {
                wasm_runtime_set_enlarge_mem_error_callback(
                    Some(data::on_memory_refused),
                    std::ptr::null_mut(),
                );
            }
            Some(Self {
                natives: Mutex::new(Natives::default()),
            })
        });
        started.as_ref().ok_or_else(|| Unavailable {
            problem: "WAMR did not start".to_owned(),
            remedy: "see whether there is memory left".to_owned(),
        })
    }

    /// The functions that WAMR knows of. Modules are loaded while they are held, since WAMR looks at its list then.
    pub fn natives(&self) -> MutexGuard<'_, Natives> {
        self.natives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version, such as `2.4.3`.
    pub fn version(&self) -> String {
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three places to write to.
        unsafe { wasm_runtime_get_version(&mut major, &mut minor, &mut patch) };
        format!("{major}.{minor}.{patch}")
    }
}
