//! The functions that the server looks up in this library.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use weir_ats_sys::{
    TS_ERROR, TS_SUCCESS, TSHttpTxn, TSPluginDSOReloadEnable, TSPluginRegister, TSPluginRegistrationInfo,
    TSREMAP_NO_REMAP, TSRemapInterface, TSRemapRequestInfo, TSRemapStatus, TSReturnCode,
};

use crate::arguments::Arguments;
use crate::plugin::setup;
use crate::{guard, log, process, reload, txn};

/// Loads the plugin for all transactions: a line `wasm.so a.yaml b.yaml` of `plugin.config`. Several lines make one chain,
/// in their order.
///
/// # Safety
///
/// Called by the server while it starts, with `argc` texts in `argv`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TSPluginInit(argc: c_int, argv: *const *const c_char) {
    // SAFETY: the server's arguments.
    let arguments = unsafe { texts(argc, argv) };
    guard::catch(|| init(arguments.get(1..).unwrap_or_default()));
}

fn init(arguments: &[PathBuf]) {
    let plugin = match setup() {
        Ok(plugin) => plugin,
        // The server goes on without the plugin: without its functions there is nothing that could be refused.
        Err(error) => return log::report(&format!("wasm.so cannot be used: {error}")),
    };
    let info = TSPluginRegistrationInfo {
        plugin_name: c"wasm".as_ptr(),
        vendor_name: c"Weir".as_ptr(),
        support_email: c"".as_ptr(),
    };
    // SAFETY: the texts end with NUL and are copied; called from TSPluginInit, as both functions demand.
    unsafe {
        if TSPluginRegister(&info) != TS_SUCCESS {
            tracing::warn!("the server did not register the plugin");
        }
        // One set of statics for `plugin.config` and `remap.config`.
        TSPluginDSOReloadEnable(0);
    }
    let parsed = Arguments::parse(arguments.iter().map(PathBuf::as_path));
    process::apply(plugin, &parsed);
    if arguments.is_empty() {
        tracing::error!("plugin.config: wasm.so has no file; expected: wasm.so FILTER.yaml ...");
    }
    plugin.add_global_hooks();
    plugin.control().add_files(&parsed.files);
    plugin.control().apply_at_start();
    reload::follow();
    // A server that ends after this call would lose the lines that are still buffered.
    log::flush();
}

/// Prepares the library for remap rules.
///
/// # Safety
///
/// Called by the server while it reads `remap.config`; `errbuf` has room for `errbuf_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TSRemapInit(
    _interface: *mut TSRemapInterface,
    errbuf: *mut c_char,
    errbuf_size: c_int,
) -> TSReturnCode {
    let prepared = guard::catch(|| {
        let plugin = setup().map_err(|error| error.to_string())?;
        // The server says when it begins to read the rules only to plugins that it has loaded by then; to all it says when it
        // has read them.
        plugin.control().begin_remap();
        Ok(())
    });
    // SAFETY: the server's buffer.
    unsafe {
        answer(
            prepared.unwrap_or_else(|| Err(PANICKED.to_owned())),
            errbuf,
            errbuf_size,
        )
    }
}

/// A remap rule that loads the plugin. The server keeps its address as the rule's instance.
pub(crate) struct Rule {
    /// Number of the filters' instance; rules with the same documents share one.
    pub instance: usize,
    /// The URL that the rule maps from.
    pub from: Arc<str>,
}

/// Makes the instance of a rule: `@plugin=wasm.so @pparam=a.yaml @pparam=b.yaml`.
///
/// # Safety
///
/// Called by the server while it reads `remap.config`, with `argc` texts in `argv`, a place for the instance, and a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TSRemapNewInstance(
    argc: c_int,
    argv: *const *const c_char,
    instance: *mut *mut c_void,
    errbuf: *mut c_char,
    errbuf_size: c_int,
) -> TSReturnCode {
    // SAFETY: the server's arguments; the first two are the URLs of the rule.
    let arguments = unsafe { texts(argc, argv) };
    let made = guard::catch(|| new_rule(&arguments)).unwrap_or_else(|| Err(PANICKED.to_owned()));
    let made = made.map(|rule| {
        if !instance.is_null() {
            let rule = Box::into_raw(Box::new(rule));
            // SAFETY: the server's place for a pointer, which it gives back in `TSRemapDeleteInstance`.
            unsafe { *instance = rule.cast() };
        }
    });
    // SAFETY: the server's buffer.
    unsafe { answer(made, errbuf, errbuf_size) }
}

fn new_rule(arguments: &[PathBuf]) -> Result<Rule, String> {
    let files = arguments.get(2..).unwrap_or_default();
    if files.is_empty() {
        return Err("wasm.so: no filter file; expected @plugin=wasm.so @pparam=FILTER.yaml".to_owned());
    }
    let plugin = setup().map_err(|error| error.to_string())?;
    let instance = plugin.control().new_instance(files)?;
    let from = arguments.first().map(|url| url.to_string_lossy());
    Ok(Rule {
        instance,
        from: from.unwrap_or_default().into(),
    })
}

/// A rule is no more.
///
/// # Safety
///
/// `instance` came from [`TSRemapNewInstance`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TSRemapDeleteInstance(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the rule's address from `TSRemapNewInstance`, which the server gives back once and does not use again.
    let rule = unsafe { Box::from_raw(instance.cast::<Rule>()) };
    // This may run on a net thread, which must not wait for a reload.
    guard::catch(|| reload::dropped(rule.instance));
}

/// `remap.config` is about to be read.
#[unsafe(no_mangle)]
pub extern "C" fn TSRemapPreConfigReload() {
    guard::catch(|| {
        if let Ok(plugin) = setup() {
            plugin.control().begin_remap();
        }
    });
}

/// `remap.config` has been read.
#[unsafe(no_mangle)]
pub extern "C" fn TSRemapPostConfigReload(_status: c_int) {
    guard::catch(|| {
        if let Ok(plugin) = setup() {
            plugin.control().end_remap();
            reload::follow();
            log::flush();
        }
    });
}

/// A request matches a rule.
///
/// # Safety
///
/// Called by the server with an instance of [`TSRemapNewInstance`] and a transaction whose mutex is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn TSRemapDoRemap(
    instance: *mut c_void,
    http: TSHttpTxn,
    info: *mut TSRemapRequestInfo,
) -> TSRemapStatus {
    // SAFETY: null, or the server's description of the rule and the request.
    let mapping = unsafe {
        info.as_ref()
            .and_then(|info| txn::Mapping::new(info.requestBufp, info.mapFromUrl, info.mapToUrl))
    };
    // SAFETY: null, or the rule's address from `TSRemapNewInstance`; the server maps by the rule, so it has not deleted it.
    if let Some(rule) = unsafe { instance.cast::<Rule>().as_ref() } {
        guard::catch(|| txn::on_remap(http, rule, mapping));
    }
    TSREMAP_NO_REMAP
}

/// The arguments of the server.
///
/// # Safety
///
/// `argv` holds `argc` texts that end with NUL.
unsafe fn texts(argc: c_int, argv: *const *const c_char) -> Vec<PathBuf> {
    let count = usize::try_from(argc).unwrap_or(0);
    let text = |index: usize| {
        // SAFETY: the caller vouches for it.
        let text = unsafe { CStr::from_ptr(*argv.add(index)) };
        PathBuf::from(OsStr::from_bytes(text.to_bytes()))
    };
    if argv.is_null() {
        return Vec::new();
    }
    (0..count).map(text).collect()
}

/// Answers the server, an error with its text in the server's buffer.
///
/// # Safety
///
/// `errbuf` is null or has room for `errbuf_size` bytes.
unsafe fn answer(result: Result<(), String>, errbuf: *mut c_char, errbuf_size: c_int) -> TSReturnCode {
    let Err(error) = result else {
        return TS_SUCCESS;
    };
    log::report(&error);
    log::flush();
    let room = usize::try_from(errbuf_size).unwrap_or(0);
    if !errbuf.is_null() && room > 0 {
        let count = error.len().min(room - 1);
        // SAFETY: the caller vouches for the room.
        unsafe {
            std::ptr::copy_nonoverlapping(error.as_ptr(), errbuf.cast(), count);
            errbuf.add(count).write(0);
        }
    }
    TS_ERROR
}

/// The server's answer where the plugin has failed by a fault of its own.
const PANICKED: &str = "wasm.so: an error in the plugin itself; see the log";
