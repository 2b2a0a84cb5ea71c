//! Compilers in processes of their own: started for one module, bounded, and heard to the end.

mod bounds;
mod confine;
mod ended;

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use weir_engine::ByteSize;

pub use bounds::CompilerBounds;
pub use confine::confine;
use ended::Ended;

/// The status of a compiler that does not compile the module; the last line of its standard error says why.
pub const NOT_COMPILED: u8 = 1;

/// The status of a compiler that cannot be used at all.
pub const NOT_USABLE: u8 = 2;

/// The status of a compiler that has found a fault of its own; the last line of its standard error names it.
pub const FAULTY: u8 = 101;

/// Bytes of code at most: this much, and so many times the module. Compiled code is three to five times as large as its
/// module.
const CODE: u64 = 64 << 20;
const CODE_FOR_BYTE: u64 = 32;

/// Bytes of the end of standard error that are kept.
const LAST_WORDS: usize = 4 << 10;

/// The one variable of the server's environment that a compiler gets: where the system finds its libraries.
const PASSED_ON: &str = "LD_LIBRARY_PATH";

/// The environment variable that tells a compiler who wants its code.
const PARENT: &str = "WEIR_COMPILER_PARENT";

/// Has mimalloc ask the system for what it needs, and not for a GiB at first, which counts against the bound.
const NO_ARENAS: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "0");

/// Why a compiler has given no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompilerFailure {
    /// The compiler refuses the module, in its words.
    #[error("{0}")]
    Refused(String),
    /// The module takes more than compiling it may; the message names the bound and its key.
    #[error("{0}")]
    Exceeded(String),
    /// The compiler was ended by the system, by a fault of its own, or because it waited.
    #[error("{0}")]
    Ended(String),
    /// The program is not the compiler that it should be, or the machine lacks what it needs.
    #[error("{0}")]
    Unusable(String),
}

/// Has a compiler compile a module: `command` with its arguments, which reads the module on standard input and writes the
/// code to standard output. The compiler calls [`confine`] with the bounds that its arguments give it.
///
/// Blocks until the process has ended. The calling thread must outlive it, since the process is killed with the thread.
///
/// # Errors
///
/// There is no code; see [`CompilerFailure`].
pub fn run_compiler(
    command: &mut Command,
    module: &[u8],
    bounds: &CompilerBounds,
) -> Result<Vec<u8>, CompilerFailure> {
    run_within(command, module, bounds, bounds.patience())
}

/// As [`run_compiler`]; the process gets this time to end.
fn run_within(
    command: &mut Command,
    module: &[u8],
    bounds: &CompilerBounds,
    patience: Duration,
) -> Result<Vec<u8>, CompilerFailure> {
    let unusable = |error: io::Error| CompilerFailure::Unusable(error.to_string());
    let child = start(command).map_err(unusable)?;
    let most = CODE.saturating_add(CODE_FOR_BYTE.saturating_mul(module.len() as u64));
    let answer = hear(child, module, patience, most).map_err(unusable)?;
    if answer.was_stuck {
        return Err(CompilerFailure::Ended(bounds.stuck(patience, &answer.ended)));
    }
    answer.code(bounds, most)
}

/// Starts the process, in a group of its own, so that what it has started can be ended with it.
fn start(command: &mut Command) -> io::Result<Child> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_clear()
        .envs(std::env::var_os(PASSED_ON).map(|value| (PASSED_ON, value)))
        .env(NO_ARENAS.0, NO_ARENAS.1)
        .env(PARENT, std::process::id().to_string())
        .process_group(0);
    command.spawn()
}

/// What a compiler has said, and how it ended.
struct Answer {
    code: Vec<u8>,
    last_words: String,
    ended: Ended,
    /// It did not end in time.
    was_stuck: bool,
}

fn hear(mut child: Child, module: &[u8], patience: Duration, most: u64) -> io::Result<Answer> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the system gave no process number"))?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // It may have ended already, and until it is reaped below no other process gets its number.
    let kill = || {
        let _ = kill_process_group(pid, Signal::KILL);
    };
    let was_stuck = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            // Where it ends before it has read all, its status and its words say why.
            let _ = input.map(|mut input| input.write_all(module));
        });
        let errors = scope.spawn(move || errors.map_or_else(String::new, last_words));
        let (done, wait) = mpsc::sync_channel::<()>(0);
        let watch = scope.spawn({
            let was_stuck = &was_stuck;
            move || {
                if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                    was_stuck.store(true, Ordering::Relaxed);
                    kill();
                }
            }
        });
        let mut code = Vec::new();
        let read = output.map(|output| output.take(most.saturating_add(1)).read_to_end(&mut code));
        if code.len() as u64 > most || matches!(read, Some(Err(_))) {
            kill();
        }
        let exited = ended::wait_for_exit(pid);
        drop(done);
        // It neither blocks nor panics.
        let _ = watch.join();
        let ended = ended::reap(pid)?;
        exited?;
        read.transpose()?;
        Ok(Answer {
            code,
            last_words: errors.join().unwrap_or_default(),
            ended,
            was_stuck: was_stuck.load(Ordering::Relaxed),
        })
    })
}

/// Reads all and keeps the end.
fn last_words(mut errors: impl Read) -> String {
    let mut kept = Vec::new();
    let mut some = [0; LAST_WORDS];
    while let Ok(length @ 1..) = errors.read(&mut some) {
        kept.extend_from_slice(&some[..length]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

impl Answer {
    fn code(self, bounds: &CompilerBounds, most: u64) -> Result<Vec<u8>, CompilerFailure> {
        if self.code.len() as u64 > most {
            return Err(CompilerFailure::Exceeded(format!(
                "it gave more than {:.1} of code, the most that is taken for a module of this size",
                ByteSize(most)
            )));
        }
        let said = self
            .last_words
            .trim()
            .lines()
            .next_back()
            .unwrap_or_default()
            .to_owned();
        match self.ended.status.code() {
            Some(0) => Ok(self.code),
            _ if bounds.is_memory(&self.last_words) => {
                Err(CompilerFailure::Exceeded(bounds.memory(&self.ended)))
            }
            Some(code) if code == i32::from(NOT_COMPILED) => Err(CompilerFailure::Refused(said)),
            Some(code) if code == i32::from(FAULTY) => Err(CompilerFailure::Ended(format!(
                "it has a fault (please report): {said}"
            ))),
            Some(_) => Err(CompilerFailure::Unusable(said)),
            None => Err(match bounds.cpu_time(&self.ended) {
                Some(reason) => CompilerFailure::Exceeded(reason),
                None => CompilerFailure::Ended(bounds.killed(&self.ended)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: CompilerBounds = CompilerBounds {
        cpu_time: Duration::from_secs(300),
        memory: 4 << 30,
    };

    /// What comes of a compiler that does what `script` says.
    fn compiled(script: &str, bounds: &CompilerBounds) -> Result<String, CompilerFailure> {
        let mut command = Command::new("/bin/sh");
        let module = [0; 1 << 20];
        run_compiler(command.args(["-c", script]), &module, bounds)
            .map(|code| String::from_utf8(code).unwrap())
    }

    #[test]
    fn a_compiler_reads_the_module_and_gives_code() {
        assert_eq!(compiled("wc -c", &BOUNDS), Ok("1048576\n".to_owned()));
    }

    #[test]
    fn the_last_line_says_why_a_module_is_refused() {
        let refused = compiled("echo first >&2; echo no such type >&2; exit 1", &BOUNDS);
        assert_eq!(refused, Err(CompilerFailure::Refused("no such type".to_owned())));
        let unusable = compiled(
            "yes | head -c 100000 >&2; echo other interface >&2; exit 2",
            &BOUNDS,
        );
        assert_eq!(
            unusable,
            Err(CompilerFailure::Unusable("other interface".to_owned()))
        );
    }

    #[test]
    fn a_bound_that_ends_the_compiler_is_named() {
        let bounds = CompilerBounds {
            cpu_time: Duration::from_secs(1),
            memory: 256 << 20,
        };
        let slow = compiled("ulimit -t 1; while :; do :; done", &bounds).unwrap_err();
        let slow = slow.to_string();
        assert!(
            slow.starts_with(
                "it used all CPU time that compiling a module may take (`compiler.cpu_time` = 1 s; used: "
            ) && slow.ends_with(")"),
            "{slow}"
        );
        let message = "echo memory allocation of 70000 bytes failed >&2; ulimit -c 0; kill -ABRT $$";
        let large = compiled(message, &bounds).unwrap_err().to_string();
        assert!(
            large.starts_with(
                "it needed more memory than compiling a module may take (`compiler.memory` = 256 MiB; "
            ),
            "{large}"
        );
    }

    #[test]
    fn a_compiler_that_the_system_ends_takes_nothing_with_it() {
        let killed = compiled("kill -KILL $$", &BOUNDS).unwrap_err().to_string();
        assert!(
            killed.starts_with("it was killed, perhaps because the machine ran out of memory (used: "),
            "{killed}"
        );
        let broke = compiled("ulimit -c 0; kill -SEGV $$", &BOUNDS)
            .unwrap_err()
            .to_string();
        assert!(broke.starts_with("it crashed (signal: 11 (SIGSEGV)"), "{broke}");
    }

    #[test]
    fn a_compiler_that_waits_is_ended_with_what_it_started() {
        let mut command = Command::new("/bin/sh");
        let command = command.args(["-c", "sleep 1000; sleep 1000"]);
        let failure = run_within(command, b"", &BOUNDS, Duration::from_millis(200));
        let stuck = failure.unwrap_err().to_string();
        assert!(
            stuck.starts_with("it did not end within 200 ms (used: ")
                && stuck.ends_with("of memory; `compiler.cpu_time` = 300 s)"),
            "{stuck}"
        );
    }

    #[test]
    fn code_without_end_is_refused() {
        let code = run_compiler(&mut Command::new("/usr/bin/yes"), b"", &BOUNDS);
        assert_eq!(
            code,
            Err(CompilerFailure::Exceeded(
                "it gave more than 64.0 MiB of code, the most that is taken for a module of this size"
                    .to_owned()
            ))
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_no_compiler() {
        let failure = run_compiler(&mut Command::new("/nowhere/compiler"), b"", &BOUNDS);
        assert!(
            matches!(failure, Err(CompilerFailure::Unusable(_))),
            "{failure:?}"
        );
    }
}
