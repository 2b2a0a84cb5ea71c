//! The runtimes that tests can have.

use weir_plan::Runtimes;

/// Names of the runtimes that are built in and whose libraries are here. Of others standard error tells what is missing.
pub fn usable_runtimes() -> Vec<&'static str> {
    let runtimes = Runtimes::from_sources(weir_builtin::runtimes(Default::default));
    let mut usable = runtimes.names();
    usable.retain(|name| match runtimes.open(name) {
        Some(Err(error)) => {
            eprintln!("not tested with {name}: {error}");
            false
        }
        opened => opened.is_some(),
    });
    usable
}

/// [`usable_runtimes`] that need no minutes on a busy machine to compile a module: without LLVM.
pub fn quick_runtimes() -> Vec<&'static str> {
    let mut quick = usable_runtimes();
    quick.retain(|name| *name != "wamr-jit");
    quick
}
