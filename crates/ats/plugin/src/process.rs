//! The settings of the process, from the lines of `plugin.config`: flags, and the document of `--config=FILE`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_config::{Environment, ProcessConfig};

use crate::arguments::{Arguments, too_late};
use crate::plugin::Plugin;
use crate::runtime_options;

/// Puts the settings of one line into effect. Whatever is wrong is logged, and the rest holds.
///
/// The document is read on the first line alone, before a runtime is opened. A flag of that line takes the place of the
/// document's key.
pub(crate) fn apply(plugin: &Plugin, arguments: &Arguments) {
    static HAS_LINES: AtomicBool = AtomicBool::new(false);
    let is_first = !HAS_LINES.swap(true, Ordering::Relaxed);
    arguments.problems.iter().for_each(|problem| refuse(problem));
    match &arguments.config {
        Some(file) if is_first => read(plugin, file, arguments),
        Some(_) => refuse(&too_late("--config")),
        None => {}
    }
    for address in &arguments.metrics {
        if let Err(error) = plugin.admin.serve(address.as_str()) {
            refuse(&format!(
                "--metrics={address}: {error}; expected an address to listen on, such as 127.0.0.1:9180"
            ));
        }
    }
    if let Some(folder) = &arguments.code_cache
        && !runtime_options::set_code_cache(folder.clone())
    {
        refuse(&too_late("--code-cache"));
    }
    if let Some(options) = arguments.wasmtime
        && !runtime_options::set_wasmtime(options)
    {
        refuse(&too_late("--wasmtime"));
    }
}

/// Reads the process document. One that is wrong has no effect at all.
fn read(plugin: &Plugin, file: &Path, arguments: &Arguments) {
    let mut control = plugin.control();
    let file = control.absolute(file);
    let process = match ProcessConfig::load(&file, &Environment::process()) {
        Ok(process) => process,
        Err(error) => {
            for problem in error.problems() {
                tracing::error!("{problem}");
            }
            let reason = "the process document is not used; flags and defaults hold";
            return refuse(&format!("--config={}: {reason}", file.display()));
        }
    };
    if let Some(level) = process.log_level {
        control.set_log_level(level);
    }
    plugin.ceiling.set_limit(process.host_memory);
    if let Some(address) = process.admin
        && arguments.metrics.is_empty()
        && let Err(error) = plugin.admin.serve(address)
    {
        tracing::error!("{}: admin: cannot listen on {address}: {error}", file.display());
    }
    runtime_options::set_document(process);
}

fn refuse(problem: &str) {
    tracing::error!("plugin.config: wasm.so {problem}");
}
