//! What the two sides tell each other beside module and code: the program's arguments.
//!
//! The module is standard input, and standard output is the code with its key ([`weir_loader::Code`]). The status and
//! standard error are as `weir_engine_support::run_compiler` has them.

use weir_engine_support::CompilerBounds;

/// The version of all this. Whoever asks for another one wants another program.
const INTERFACE: &str = "1";

/// What the program is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// `AheadOfTime::code_engine` of the server's engine.
    pub engine: &'a str,
    /// The engine's settings, as its own text.
    pub settings: &'a str,
    /// `AheadOfTime::code_key` of the server's engine: code for another key is of no use.
    pub key: &'a str,
    /// CPU time in seconds, and bytes of memory.
    pub bounds: [&'a str; 2],
}

/// The arguments of a program that compiles.
pub(crate) fn arguments(engine: &str, settings: &str, key: &str, bounds: &CompilerBounds) -> [String; 6] {
    let [cpu_time, memory] = bounds.arguments();
    let own = [INTERFACE, engine, settings, key].map(str::to_owned);
    let [interface, engine, settings, key] = own;
    [interface, engine, settings, key, cpu_time, memory]
}

impl<'a> Request<'a> {
    /// Reads the arguments of this program.
    ///
    /// # Errors
    ///
    /// They are those of another program; in words for the server's log.
    pub fn read(arguments: &'a [String]) -> Result<Self, String> {
        match arguments {
            [interface, engine, settings, key, cpu_time, memory] if interface == INTERFACE => Ok(Self {
                engine,
                settings,
                key,
                bounds: [cpu_time, memory],
            }),
            [interface, ..] if interface != INTERFACE => Err(format!(
                "its interface is {INTERFACE}, the server asks for {interface}"
            )),
            _ => Err("servers start this program; it has no use for people".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let arguments = arguments("wasmtime", "fuel", "a key", &CompilerBounds::default());
        let expected = Request {
            engine: "wasmtime",
            settings: "fuel",
            key: "a key",
            bounds: ["300", "4294967296"],
        };
        assert_eq!(Request::read(&arguments), Ok(expected));
        let mut other = arguments.clone();
        other[0] = "7".to_owned();
        let problem = "its interface is 1, the server asks for 7";
        assert_eq!(Request::read(&other), Err(problem.to_owned()));
        assert!(Request::read(&arguments[..5]).is_err());
        assert!(Request::read(&[]).is_err());
    }
}
