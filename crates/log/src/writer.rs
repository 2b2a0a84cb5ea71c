//! The buffer of a log, and the thread that writes it out.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_abi::limits;

use crate::LogTarget;

/// How long [`LogWriter::finish`] waits for a target that takes nothing.
const SILENCE: Duration = Duration::from_secs(1);

/// How long [`LogWriter::finish`] waits for a target that takes a little now and then.
const FINISH: Duration = Duration::from_secs(5);

/// The pause before the next try at a target that somebody has made non-blocking and that is full.
const FULL: Duration = Duration::from_millis(10);

static LOST: AtomicU64 = AtomicU64::new(0);

/// Lines that the logs of this process have lost so far.
pub fn lost_lines() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Writes to a log without ever waiting for it. A clone writes to the same log.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: &'static str,
    state: Mutex<State>,
    /// There is something to do for the thread.
    due: Condvar,
    /// The thread has written something, or has ended.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines that wait for the thread.
    lines: Vec<u8>,
    /// Lines lost since the log last said so.
    lost: u64,
    reopen: bool,
    finish: bool,
    /// Counts what the target has taken, in steps.
    steps: u64,
    ended: bool,
}

impl LogWriter {
    /// Starts the thread. `name` says in messages which log it is.
    ///
    /// # Errors
    ///
    /// The system gives us no thread.
    pub fn start(name: &'static str, target: LogTarget) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            state: Mutex::default(),
            due: Condvar::new(),
            moved: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("weir-log".to_owned())
            .spawn(move || own.run(target))?;
        Ok(Self(shared))
    }

    /// Adds whole lines, each with its line break. They are lost if [`limits::LOG_BUFFER`] bytes wait already.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.0.lock();
        if state.ended || lines.len() > limits::LOG_BUFFER - state.lines.len() {
            state.lose(lines);
            return;
        }
        state.lines.extend_from_slice(lines);
        drop(state);
        self.0.due.notify_one();
    }

    /// Has the file's path opened again, after the lines that wait have been written. Returns at once; an error is logged.
    pub fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.due.notify_one();
    }

    /// Ends the log when everything is written. Waits no longer than a second for a target that takes nothing, and five
    /// seconds in all.
    pub fn finish(&self) {
        let mut state = self.0.lock();
        state.finish = true;
        self.0.due.notify_one();
        let began = Instant::now();
        while !state.ended && began.elapsed() < FINISH {
            let before = state.steps;
            let waited = self
                .0
                .moved
                .wait_timeout_while(state, SILENCE, |state| !state.ended && state.steps == before);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() {
                return;
            }
        }
    }
}

impl State {
    fn lose(&mut self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.lost += count;
        LOST.fetch_add(count, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut target: LogTarget) {
        let log = self.name;
        let mut lines = Vec::new();
        let mut failing = false;
        // A line was cut where the disk was full: what follows begins a new one.
        let mut cut = false;
        loop {
            let idle = |state: &mut State| state.lines.is_empty() && !state.reopen && !state.finish;
            let waited = self.due.wait_while(self.lock(), idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            lines.clear();
            // The buffer that was written is the next to be filled.
            std::mem::swap(&mut lines, &mut state.lines);
            let reopen = std::mem::take(&mut state.reopen);
            if lines.is_empty() && !reopen {
                state.ended = true;
                drop(state);
                self.moved.notify_all();
                return;
            }
            drop(state);

            // Events of this thread may go to this very log: no lock is held here.
            match self.write(&mut target, &lines, &mut cut) {
                Ok(()) => {
                    failing = failing && lines.is_empty();
                    let lost = std::mem::take(&mut self.lock().lost);
                    if lost > 0 {
                        tracing::warn!(
                            log,
                            lines = lost,
                            "lines are missing in the log: it was not read, or could not be written, in time"
                        );
                    }
                }
                Err((error, written)) => {
                    self.lock().lose(lines.get(written..).unwrap_or_default());
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(log, %error, "the log cannot be written; its lines are lost until it can be");
                    }
                }
            }
            if reopen && let Err(error) = target.reopen() {
                tracing::error!(log, %error, "the log's file cannot be opened again; the old one is written on");
            }
        }
    }

    /// Writes all lines; an error comes with the number of bytes that were taken before it.
    fn write(&self, target: &mut LogTarget, lines: &[u8], cut: &mut bool) -> Result<(), (io::Error, usize)> {
        let turn = target.turn();
        let _held = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let file = target.file_mut();
        let mut written = 0;
        while *cut && !lines.is_empty() {
            match file.write(b"\n") {
                Ok(1..) => *cut = false,
                Ok(0) => return Err((ErrorKind::WriteZero.into(), 0)),
                Err(error) => pause_or_fail(error).map_err(|error| (error, 0))?,
            }
        }
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            match file.write(rest) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), written)),
                Ok(taken) => {
                    written += taken;
                    *cut = lines.get(written - 1) != Some(&b'\n');
                    self.lock().steps += 1;
                    self.moved.notify_all();
                }
                Err(error) => pause_or_fail(error).map_err(|error| (error, written))?,
            }
        }
        Ok(())
    }
}

/// Whether a write is to be tried again, after a pause where the target is full for the moment.
fn pause_or_fail(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock => {
            #[expect(
                clippy::disallowed_methods,
                reason = "the log's own thread, for which nothing but lines waits"
            )]
            std::thread::sleep(FULL);
            Ok(())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

    use std::io::{BufRead, BufReader, Read};

    use super::*;

    fn lost(log: &LogWriter) -> u64 {
        log.0.lock().lost
    }

    #[test]
    fn lines_that_nobody_reads_are_bounded_and_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = LogWriter::start("test", writer.try_into().unwrap()).unwrap();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        // Twice the two buffers: what waits, and what is being written.
        let pushed = 4 * limits::LOG_BUFFER / line.len();
        for _ in 0..pushed {
            log.push(&line);
        }
        let lost_before = lost(&log);
        assert!(lost_before > 0 && lost_lines() >= lost_before);
        assert!(log.0.lock().lines.len() <= limits::LOG_BUFFER);
        // What was kept comes in whole lines as soon as somebody reads.
        let reading = std::thread::spawn(move || {
            let mut text = Vec::new();
            reader.read_to_end(&mut text).map(|_| text)
        });
        log.finish();
        drop(log);
        let text = reading.join().unwrap().unwrap();
        assert_eq!(text.len(), (pushed - lost_before as usize) * line.len());
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_does_not_read() {
        let (reader, writer) = io::pipe().unwrap();
        let log = LogWriter::start("test", writer.try_into().unwrap()).unwrap();
        log.push(&[b'\n'; 1 << 20]);
        log.finish();
        assert!(!log.0.lock().ended);
        drop(reader);
    }

    #[test]
    fn lines_for_a_reader_that_is_gone_are_lost() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let log = LogWriter::start("test", writer.try_into().unwrap()).unwrap();
        log.push(b"one\ntwo\n");
        log.finish();
        assert_eq!(lost(&log), 2);
    }

    #[test]
    fn a_full_disk_cuts_one_line_and_no_second_one() {
        let (reader, writer) = io::pipe().unwrap();
        let mut target = LogTarget::try_from(writer).unwrap();
        let other = LogTarget::try_from(io::pipe().unwrap().1).unwrap();
        let log = LogWriter::start("test", other).unwrap();
        // As after a disk that was full in the middle of a line.
        let mut cut = true;
        log.0.write(&mut target, b"next\nhalf", &mut cut).unwrap();
        assert!(cut);
        drop(target);
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["", "next", "half"]);
    }

    #[test]
    fn logs_of_one_pipe_write_whole_lines() {
        let (reader, writer) = io::pipe().unwrap();
        let twice = writer.try_clone().unwrap();
        let logs = [(writer, b'a'), (twice, b'b')].map(|(pipe, byte)| {
            let log = LogWriter::start("test", pipe.try_into().unwrap()).unwrap();
            // Longer than what a pipe takes in one piece.
            let line = [vec![byte; 200_000], vec![b'\n']].concat();
            (0..5).for_each(|_| log.push(&line));
            log
        });
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map(Result::unwrap);
            let whole =
                |line: &String| line.len() == 200_000 && line.bytes().all(|b| line.as_bytes()[0] == b);
            lines.filter(whole).count()
        });
        logs.iter().for_each(LogWriter::finish);
        drop(logs);
        assert_eq!(reading.join().unwrap(), 10);
    }

    #[test]
    fn a_file_is_opened_again() {
        let folder = std::env::temp_dir().join(format!("weir-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, old) = (folder.join("log"), folder.join("log.1"));
        let log = LogWriter::start("test", LogTarget::file(path.clone()).unwrap()).unwrap();
        log.push(b"before\n");
        std::fs::rename(&path, &old).unwrap();
        log.reopen();
        // Whichever of the two the thread sees first, this line comes after the path was opened.
        while !path.exists() {
            std::thread::yield_now();
        }
        log.push(b"after\n");
        log.finish();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
