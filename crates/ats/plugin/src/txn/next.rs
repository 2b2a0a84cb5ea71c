//! The request to the server at the end of a piece of work.

use weir_ats_sys::{
    TS_EVENT_HTTP_CONTINUE, TS_EVENT_HTTP_ERROR, TSContCall, TSEvent, TSHttpTxn, TSHttpTxnReenable, TSVIO,
    TSVIOContGet,
};

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The transaction goes on.
    Continue,
    /// The transaction ends with the answer that has been prepared.
    Error,
    /// The filters have to be waited for.
    Pause,
}

/// The request to the server when the lock has been released.
pub(super) enum Next {
    Nothing,
    Reenable(TSHttpTxn, TSEvent),
    /// Tells whoever writes into a transform what became of it.
    Input(TSVIO, TSEvent),
    /// Sets an output going again, and then perhaps its input.
    Output {
        output: Option<TSVIO>,
        input: Option<(TSVIO, TSEvent)>,
    },
}

impl Next {
    pub fn flow(http: TSHttpTxn, flow: Flow) -> Self {
        match flow {
            Flow::Continue => Self::Reenable(http, TS_EVENT_HTTP_CONTINUE),
            Flow::Error => Self::Reenable(http, TS_EVENT_HTTP_ERROR),
            Flow::Pause => Self::Nothing,
        }
    }

    /// Gives control to the server. The lock of the net thread is not held.
    pub fn run(self) {
        let tell = |vio: TSVIO, event: TSEvent| {
            // SAFETY: the operation belongs to a transform that has not been closed: this runs in the same event in which
            // it was looked at, under the transaction's mutex.
            unsafe {
                let cont = TSVIOContGet(vio);
                // A write side without a buffer has nobody who waits for word of it.
                if !(cont.is_null() || weir_ats_sys::TSVIOBufferGet(vio).is_null()) {
                    TSContCall(cont, event, vio.as_ptr());
                }
            }
        };
        match self {
            Self::Nothing => {}
            // SAFETY: the transaction is stopped at a hook of ours, and is re-enabled once for it.
            Self::Reenable(http, event) => unsafe { TSHttpTxnReenable(http, event) },
            Self::Input(vio, event) => tell(vio, event),
            Self::Output { output, input } => {
                if let Some(output) = output {
                    // SAFETY: the operation was begun by this transform, which has not been closed.
                    unsafe { weir_ats_sys::TSVIOReenable(output) };
                }
                if let Some((vio, event)) = input {
                    tell(vio, event);
                }
            }
        }
    }
}
