//! Sources of the messages of a transaction's pumps.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use weir_ats_sys::{
    TSIOBufferReaderAvail, TSIOBufferReaderConsume, TSIOBufferReaderCopy, TSVConn, TSVConnWriteVIOGet, TSVIO,
    TSVIOBufferGet, TSVIONDoneGet, TSVIONDoneSet, TSVIONTodoGet, TSVIOReaderGet,
};
use weir_chain::{Abort, Dechunker, Item, LocalSource, Pieces, Source, SourceError};

use super::TxnPump;

/// Most bytes of a body that are taken at once.
const PIECE: usize = 64 << 10;

/// The beginning of a chain.
pub(crate) enum TxnSource {
    /// The message of the client or of the server.
    Server {
        /// Until the head has been given: true if nothing follows it.
        head: Option<bool>,
        /// The body.
        input: Rc<BodyInput>,
    },
    /// The message as the filters before have left it: those of `plugin.config`, seen from those of a remap rule, or those of
    /// an earlier plugin of the same rule.
    Inner {
        /// Until the head has been given: true if nothing follows it. `None` from the start where the filters give the head
        /// as well.
        head: Option<bool>,
        /// The filters.
        pump: Box<TxnPump>,
        /// The source of their body.
        input: Rc<BodyInput>,
    },
    /// A filter's own answer.
    Local(LocalSource),
}

/// A body on its way through a transform of ours.
#[derive(Default)]
pub(crate) struct BodyInput {
    transform: Cell<Option<TSVConn>>,
    asked: Cell<bool>,
    end: Cell<End>,
    broken: Cell<bool>,
    dechunker: Cell<Option<Box<Dechunker>>>,
    /// Bytes taken so far.
    taken: Cell<u64>,
    /// Bytes that the sender has announced.
    announced: Cell<Option<u64>>,
}

/// The end of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// More may come.
    #[default]
    Ahead,
    /// The body has been taken to its end.
    Reached,
    /// The sender has been told that all is done.
    Told,
}

impl BodyInput {
    /// The body comes through this transform from now on. `chunked`: in the framing of HTTP/1.1.
    pub fn attach(&self, transform: TSVConn, chunked: bool) {
        self.transform.set(Some(transform));
        self.dechunker
            .set(chunked.then(|| Box::new(Dechunker::default())));
    }

    /// The sender has announced this number of bytes.
    pub fn announce(&self, length: Option<u64>) {
        self.announced.set(length);
    }

    /// Nothing more comes: the transform is gone, or will not be run.
    pub fn detach(&self) {
        self.transform.set(None);
        self.reach_end();
    }

    /// True if more was asked for than was there; forgets it.
    pub fn take_asked(&self) -> bool {
        self.asked.replace(false)
    }

    /// True if the body has been taken to its end.
    pub fn has_ended(&self) -> bool {
        self.end.get() != End::Ahead
    }

    /// Takes note that the sender is told that all is done. False if it has been told before.
    pub fn tell_end(&self) -> bool {
        self.end.replace(End::Told) != End::Told
    }

    /// Bytes that have been taken, framing included.
    pub fn taken(&self) -> u64 {
        self.taken.get()
    }

    /// Takes what there is and forgets it.
    pub fn drain(&self) {
        loop {
            match self.take() {
                Ok(Taken::Some(..)) => {}
                Ok(Taken::Nothing | Taken::End) => return,
                // A body that cannot be read has no end to wait for.
                Err(_) => return self.reach_end(),
            }
        }
    }

    fn reach_end(&self) {
        if self.end.get() == End::Ahead {
            self.end.set(End::Reached);
        }
    }

    fn take(&self) -> Result<Taken, SourceError> {
        if self.has_ended() {
            return Ok(Taken::End);
        }
        let Some(transform) = self.transform.get() else {
            return Ok(Taken::Nothing);
        };
        loop {
            // SAFETY: the transform exists until it is detached; this runs under the transaction's mutex.
            let Some((raw, complete)) = (unsafe { take_raw(TSVConnWriteVIOGet(transform)) }) else {
                // A write side without a buffer is that of a body of no bytes.
                self.reach_end();
                return Ok(Taken::End);
            };
            self.taken.set(self.taken.get() + raw.len() as u64);
            let Some(mut dechunker) = self.dechunker.take() else {
                if complete {
                    self.reach_end();
                }
                return Ok(match raw.is_empty() {
                    true if complete => Taken::End,
                    true => Taken::Nothing,
                    false => Taken::Some(raw.freeze().into(), complete),
                });
            };
            let mut out = BytesMut::with_capacity(raw.len());
            let outcome = dechunker.decode(&raw, &mut out);
            let ended = dechunker.is_complete();
            self.dechunker.set(Some(dechunker));
            outcome.map_err(|error| SourceError(Box::new(error)))?;
            if complete && !ended {
                return Err(SourceError("the chunked body ends early".into()));
            }
            if ended {
                self.reach_end();
            }
            match out.is_empty() {
                true if ended => return Ok(Taken::End),
                true if raw.is_empty() => return Ok(Taken::Nothing),
                true => {}
                false => return Ok(Taken::Some(out.freeze().into(), ended)),
            }
        }
    }
}

enum Taken {
    Some(Pieces, bool),
    Nothing,
    End,
}

/// Takes up to a piece out of the write side of a transform. `None` where it has no buffer. Also says whether it was the
/// last.
///
/// # Safety
///
/// The operation is that of a transform that has not been closed, and the transaction's mutex is held.
unsafe fn take_raw(vio: TSVIO) -> Option<(BytesMut, bool)> {
    // SAFETY: the caller vouches for the operation; the buffer and reader belong to it. As many bytes are written to the
    // vector's spare room as it has, and its length is set to what was written.
    unsafe {
        if vio.is_null() || TSVIOBufferGet(vio).is_null() {
            return None;
        }
        let todo = TSVIONTodoGet(vio);
        let reader = TSVIOReaderGet(vio);
        let count = TSIOBufferReaderAvail(reader).min(todo).clamp(0, PIECE as i64);
        let mut bytes = BytesMut::with_capacity(count as usize);
        if count > 0 {
            let copied = TSIOBufferReaderCopy(reader, bytes.as_mut_ptr().cast(), count).clamp(0, count);
            bytes.set_len(copied as usize);
            TSIOBufferReaderConsume(reader, copied);
            TSVIONDoneSet(vio, TSVIONDoneGet(vio) + copied);
        }
        Some((bytes, TSVIONTodoGet(vio) <= 0))
    }
}

impl Source for TxnSource {
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>> {
        match self {
            Self::Local(source) => source.poll_item(cx),
            Self::Inner { head, pump, .. } => {
                if let Some(end_of_stream) = head.take() {
                    return Poll::Ready(Ok(Item::Head { end_of_stream }));
                }
                Poll::Ready(match ready!(pump.poll_item(cx)) {
                    Ok(item) => Ok(item),
                    Err(Abort::Source(error)) => Err(error),
                    // The state, which both share, says more.
                    Err(Abort::Stopped) => Err(SourceError("stopped".into())),
                })
            }
            Self::Server { head, input } => {
                if let Some(end_of_stream) = head.take() {
                    if end_of_stream {
                        input.reach_end();
                    }
                    return Poll::Ready(Ok(Item::Head { end_of_stream }));
                }
                if input.broken.get() {
                    return Poll::Ready(Ok(Item::End));
                }
                match input.take() {
                    Ok(Taken::Some(pieces, end)) => Poll::Ready(Ok(Item::Data(pieces, end))),
                    Ok(Taken::End) => Poll::Ready(Ok(Item::Data(Pieces::default(), true))),
                    Ok(Taken::Nothing) => {
                        input.asked.set(true);
                        Poll::Pending
                    }
                    Err(error) => {
                        input.broken.set(true);
                        Poll::Ready(Err(error))
                    }
                }
            }
        }
    }

    /// Not while everything is held: what is not asked for stays with the sender.
    fn may_read_ahead(&self) -> bool {
        match self {
            Self::Server { input, .. } | Self::Inner { input, .. } => input.transform.get().is_some(),
            Self::Local(_) => true,
        }
    }

    fn announced_length(&self) -> Option<u64> {
        match self {
            Self::Local(source) => source.announced_length(),
            Self::Server { input, .. } => input.announced.get(),
            Self::Inner { .. } => None,
        }
    }
}
