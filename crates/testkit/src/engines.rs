//! The runtimes that tests can have.

use weir_plan::Engines;

/// Names of the runtimes that are built in and whose libraries are here. Of others standard error tells what is missing.
pub fn engines() -> Vec<&'static str> {
    let engines = Engines::from_sources(weir_engines::built_in(Default::default));
    let mut usable = engines.names();
    usable.retain(|name| match engines.open(name) {
        Some(Err(error)) => {
            eprintln!("not tested with {name}: {error}");
            false
        }
        opened => opened.is_some(),
    });
    usable
}
