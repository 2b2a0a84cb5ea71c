//! The buffer of a log, and the thread that writes it out.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use weir_abi::limits;

use crate::{Sink, Unwritten};

/// The longest wait of [`LogWriter::finish`] for a target that takes nothing.
const SILENCE: Duration = Duration::from_secs(1);

/// The longest wait of [`LogWriter::finish`] for a target that takes a little now and then.
const FINISH: Duration = Duration::from_secs(5);

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
    /// Counts what the sink has taken, in steps.
    steps: u64,
    /// Bytes that have been taken for the thread, and of them those that the thread is done with.
    pushed: u64,
    handled: u64,
    ended: bool,
}

impl LogWriter {
    /// Starts the thread. `name` says in messages which log it is.
    ///
    /// # Errors
    ///
    /// The system gives us no thread.
    pub fn start(name: &'static str, sink: impl Sink) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            state: Mutex::default(),
            due: Condvar::new(),
            moved: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("weir-log".to_owned())
            .spawn(move || own.run(sink))?;
        Ok(Self(shared))
    }

    /// Adds whole lines, each with its line break. They are lost if [`limits::LOG_BUFFER`] bytes wait already.
    pub fn push(&self, lines: &[u8]) {
        self.push_parts(&[lines]);
    }

    /// As [`LogWriter::push`], of lines that come in parts.
    pub fn push_parts(&self, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut state = self.0.lock();
        if state.ended || len > limits::LOG_BUFFER - state.lines.len() {
            parts.iter().for_each(|part| state.lose(part));
            return;
        }
        parts.iter().for_each(|part| state.lines.extend_from_slice(part));
        state.pushed += len as u64;
        drop(state);
        self.0.due.notify_one();
    }

    /// Has the file's path opened again, after the lines that wait have been written. Returns at once; an error is logged.
    pub fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.due.notify_one();
    }

    /// Waits until everything that has been pushed is written, no longer than a second for a sink that takes nothing, and
    /// five seconds in all.
    pub fn flush(&self) {
        let state = self.0.lock();
        let pushed = state.pushed;
        self.0.wait(state, |state| state.handled >= pushed);
    }

    /// Ends the log when everything is written; waits as [`LogWriter::flush`] does. Lines that come later are lost.
    pub fn finish(&self) {
        let mut state = self.0.lock();
        state.finish = true;
        self.0.due.notify_one();
        self.0.wait(state, |_| false);
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

    /// Waits until `done`, or the log has ended, or the sink takes nothing for too long.
    fn wait(&self, mut state: MutexGuard<'_, State>, done: impl Fn(&State) -> bool) {
        let began = Instant::now();
        while !state.ended && !done(&state) && began.elapsed() < FINISH {
            let before = state.steps;
            let waited = self
                .moved
                .wait_timeout_while(state, SILENCE, |state| !state.ended && state.steps == before);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = now;
            if timeout.timed_out() {
                return;
            }
        }
    }

    fn run(&self, mut sink: impl Sink) {
        let log = self.name;
        let mut lines = Vec::new();
        let mut failing = false;
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
            let mut moved = || {
                self.lock().steps += 1;
                self.moved.notify_all();
            };
            match sink.write(&lines, &mut moved) {
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
                Err(Unwritten { error, written }) => {
                    self.lock().lose(lines.get(written..).unwrap_or_default());
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(log, %error, "the log cannot be written; its lines are lost until it can be");
                    }
                }
            }
            {
                let mut state = self.lock();
                state.handled += lines.len() as u64;
                state.steps += 1;
            }
            self.moved.notify_all();
            if reopen && let Err(error) = sink.reopen() {
                tracing::error!(log, %error, "the log's file cannot be opened again; the old one is written on");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

    use std::io::{BufRead, BufReader, Read};

    use super::*;
    use crate::LogTarget;

    fn lost(log: &LogWriter) -> u64 {
        log.0.lock().lost
    }

    #[test]
    fn lines_that_nobody_reads_are_bounded_and_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let log = LogWriter::start("test", LogTarget::try_from(writer).unwrap()).unwrap();
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        // Twice the two buffers: what waits, and what is being written.
        let pushed = 4 * limits::LOG_BUFFER / line.len();
        for _ in 0..pushed {
            log.push(&line);
        }
        let lost_before = lost(&log);
        assert!(lost_before > 0 && lost_lines() >= lost_before);
        assert!(log.0.lock().lines.len() <= limits::LOG_BUFFER);
        // The kept lines come whole as soon as somebody reads.
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
        let log = LogWriter::start("test", LogTarget::try_from(writer).unwrap()).unwrap();
        log.push(&[b'\n'; 1 << 20]);
        log.finish();
        assert!(!log.0.lock().ended);
        drop(reader);
    }

    /// Takes each batch once it is let.
    struct Gate(std::sync::mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Sink for Gate {
        fn write(&mut self, lines: &[u8], _: &mut dyn FnMut()) -> Result<(), Unwritten> {
            // No more permission: everything may pass.
            let _ = self.0.recv();
            self.1.lock().unwrap().extend_from_slice(lines);
            Ok(())
        }
    }

    #[test]
    fn a_flush_waits_for_what_was_pushed_and_ends_nothing() {
        let (permit, gate) = std::sync::mpsc::channel();
        let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
        let log = LogWriter::start("test", Gate(gate, Arc::clone(&taken))).unwrap();
        log.push_parts(&[b"o", b"ne\n"]);
        permit.send(()).unwrap();
        log.flush();
        assert_eq!(taken.lock().unwrap().as_slice(), b"one\n");
        log.push(b"two\n");
        // A sink that takes nothing is not waited for.
        log.flush();
        assert_eq!(taken.lock().unwrap().as_slice(), b"one\n");
        drop(permit);
        log.finish();
        assert_eq!(taken.lock().unwrap().as_slice(), b"one\ntwo\n");
    }

    #[test]
    fn lines_for_a_reader_that_is_gone_are_lost() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let log = LogWriter::start("test", LogTarget::try_from(writer).unwrap()).unwrap();
        log.push(b"one\ntwo\n");
        log.finish();
        assert_eq!(lost(&log), 2);
    }

    #[test]
    fn a_full_disk_cuts_one_line_and_no_second_one() {
        let (reader, writer) = io::pipe().unwrap();
        let mut target = LogTarget::try_from(writer).unwrap();
        // As a disk that is full in the middle of a line does.
        target.write(b"half", &mut || {}).unwrap();
        target.write(b"next\n", &mut || {}).unwrap();
        drop(target);
        let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["half", "next"]);
    }

    #[test]
    fn logs_of_one_pipe_write_whole_lines() {
        let (reader, writer) = io::pipe().unwrap();
        let twice = writer.try_clone().unwrap();
        let logs = [(writer, b'a'), (twice, b'b')].map(|(pipe, byte)| {
            let log = LogWriter::start("test", LogTarget::try_from(pipe).unwrap()).unwrap();
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
