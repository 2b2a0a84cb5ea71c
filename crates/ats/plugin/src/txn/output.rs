//! The side of a transform that its bytes leave by.

use weir_ats_sys::{
    TSCont, TSIOBuffer, TSIOBufferCreate, TSIOBufferDestroy, TSIOBufferReader, TSIOBufferReaderAlloc,
    TSIOBufferReaderAvail, TSIOBufferWrite, TSTransformOutputVConnGet, TSVConn, TSVConnWrite, TSVIO,
    TSVIONBytesSet,
};
use weir_chain::Pieces;

/// Bytes that may wait to be taken before no more are made.
const HIGH_WATER: i64 = 256 << 10;

/// The output of a transform.
pub(super) struct Output {
    buffer: TSIOBuffer,
    reader: TSIOBufferReader,
    vio: TSVIO,
    /// `None` until the end is known.
    length: Option<u64>,
    written: u64,
    /// Something has changed that the server has to be told of.
    changed: bool,
}

impl Output {
    /// Opens the output of a transform. A length of `None` becomes known at the end.
    pub fn open(transform: TSVConn, length: Option<u64>) -> Self {
        // SAFETY: this runs in an event of a transform that has not been closed. The buffer and its reader live until this
        // value is dropped, which is when the transform is closed.
        unsafe {
            let buffer = TSIOBufferCreate();
            let reader = TSIOBufferReaderAlloc(buffer);
            let bytes = length.map_or(i64::MAX, |length| i64::try_from(length).unwrap_or(i64::MAX));
            let cont: TSCont = transform.into();
            let vio = TSVConnWrite(TSTransformOutputVConnGet(transform), cont, reader, bytes);
            Self {
                buffer,
                reader,
                vio,
                length,
                written: 0,
                changed: true,
            }
        }
    }

    /// True if enough waits to be taken.
    pub fn is_full(&self) -> bool {
        // SAFETY: the reader lives as long as this value.
        unsafe { TSIOBufferReaderAvail(self.reader) >= HIGH_WATER }
    }

    /// Adds bytes. What goes beyond the length is dropped.
    pub fn write(&mut self, pieces: &mut Pieces) {
        while let Some(mut piece) = pieces.pop() {
            if let Some(length) = self.length {
                piece.truncate(usize::try_from(length.saturating_sub(self.written)).unwrap_or(usize::MAX));
            }
            if piece.is_empty() {
                continue;
            }
            // SAFETY: the buffer lives as long as this value; the bytes are copied.
            unsafe { TSIOBufferWrite(self.buffer, piece.as_ptr().cast(), piece.len() as i64) };
            self.written += piece.len() as u64;
            self.changed = true;
        }
    }

    /// Nothing follows: the length is what has been written.
    pub fn end(&mut self) {
        if self.length.is_none() {
            self.length = Some(self.written);
            self.changed = true;
            let bytes = i64::try_from(self.written).unwrap_or(i64::MAX);
            // SAFETY: the operation belongs to this output, which has not been closed.
            unsafe { TSVIONBytesSet(self.vio, bytes) };
        }
    }

    /// Bytes that have been written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// True if all that was announced has been written.
    pub fn is_complete(&self) -> bool {
        self.length == Some(self.written)
    }

    /// The operation to set going again, where something has changed.
    pub fn flush(&mut self) -> Option<TSVIO> {
        std::mem::take(&mut self.changed).then_some(self.vio)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the transform is closed, so nobody reads from the buffer any more; destroying it frees its readers.
        unsafe { TSIOBufferDestroy(self.buffer) };
    }
}
