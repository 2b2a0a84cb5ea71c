//! The transform between the client and the origin: what has become of the body's bytes.
//!
//! The server wants to know the length of the body before it sends the request's head. So the body is collected first, up
//! to the filters' limit. A longer one whose length the client has announced is passed on as it comes, and must keep that
//! length.

use std::rc::Rc;

use bytes::Bytes;
use weir_ats_sys::TSVConn;
use weir_chain::Pieces;

use super::super::awaits::Awaits;
use super::super::output::Output;
use super::super::source::BodyInput;

/// So much of a refused body is still taken, so that the answer finds a client that has finished speaking.
const DRAIN: u64 = 1 << 20;

/// A transform between client and origin.
pub(in crate::txn) struct RequestTransform {
    /// The server's handle.
    pub transform: TSVConn,
    /// The bytes from the client.
    pub input: Rc<BodyInput>,
    announced: Announced,
    pub(super) stage: Stage,
}

/// The client's announcement of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::txn) enum Announced {
    /// The body comes in the chunks of HTTP/1.1, whose header must go with it.
    Chunks,
    /// The body has this length, in bytes.
    Length(u64),
    /// The body ends with the client's stream.
    Nothing,
}

/// The position of the body in the transform.
pub(super) enum Stage {
    /// No event has come yet.
    New,
    /// The bytes that have come through the filters wait for the rest.
    Collecting { collected: Pieces, awaits: Awaits },
    /// Too long to be collected: it goes to the server as it comes through the filters.
    Streaming { output: Output, awaits: Awaits },
    /// All has come through the filters, and the server takes it.
    Sending(Output),
    /// The server has taken all of the output. It may not have sent it yet.
    Taken {
        output: Output,
        /// Looks that the plugin has taken at the bytes sent.
        looks: u32,
    },
    /// The origin gets nothing of it, since an answer is on its way; the rest of the body goes nowhere.
    Refused {
        /// Bytes that had come by then.
        since: u64,
        output: Option<Output>,
    },
    /// The origin has answered before it had taken all. The server may still know the output.
    Aborted { _output: Option<Output> },
}

/// The outcome of a part of the body that has come through the filters.
pub(in crate::txn) enum Passed {
    /// The part waits, or is on its way to the server.
    Accepted,
    /// The body is longer than the limit, and its length is not known.
    TooLong,
    /// The filters have changed the length of a body that must keep it.
    LengthChanged { announced: Option<u64> },
}

impl RequestTransform {
    pub fn new(transform: TSVConn, input: Rc<BodyInput>, announced: Announced) -> Self {
        Self {
            transform,
            input,
            announced,
            stage: Stage::New,
        }
    }

    /// True once the first event has come.
    pub fn has_started(&self) -> bool {
        !matches!(self.stage, Stage::New)
    }

    /// True if the body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.announced == Announced::Chunks
    }

    /// True while the body is with the filters.
    pub fn is_busy(&self) -> bool {
        matches!(self.stage, Stage::Collecting { .. } | Stage::Streaming { .. })
    }

    /// True while a filter holds the body.
    pub fn is_held(&self) -> bool {
        matches!(
            self.stage,
            Stage::Collecting {
                awaits: Awaits::Filters,
                ..
            } | Stage::Streaming {
                awaits: Awaits::Filters,
                ..
            }
        )
    }

    /// The filters have been polled. `asked`: one has asked for more of the body than was there.
    pub fn polled(&mut self, asked: bool) {
        match &mut self.stage {
            Stage::Collecting { awaits, .. } => *awaits = Awaits::of(false, asked),
            Stage::Streaming { output, awaits } => *awaits = Awaits::of(output.is_full(), asked),
            _ => {}
        }
    }

    /// True if an answer takes the place of the body.
    pub fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Refused { .. })
    }

    /// True if more of the body can come through the filters.
    pub fn takes_more(&self) -> bool {
        match &self.stage {
            Stage::New | Stage::Collecting { .. } => true,
            Stage::Streaming { output, .. } => !output.is_full(),
            Stage::Sending(_) | Stage::Taken { .. } | Stage::Refused { .. } | Stage::Aborted { .. } => false,
        }
    }

    /// The first event has come: bytes follow.
    pub fn start(&mut self) {
        if let Stage::New = self.stage {
            self.stage = Stage::Collecting {
                collected: Pieces::default(),
                awaits: Awaits::Input,
            };
        }
    }

    /// A part of the body has come through the filters; `limit` is the most that is collected.
    pub fn pass(&mut self, mut pieces: Pieces, end: bool, limit: u64) -> Passed {
        let (mut output, awaits) = match std::mem::replace(&mut self.stage, Stage::Aborted { _output: None })
        {
            Stage::Collecting {
                mut collected,
                awaits,
            } => {
                collected.append(&mut pieces);
                let len = collected.len() as u64;
                let length = match self.announced {
                    _ if end => Some(len),
                    Announced::Length(announced) if announced > limit && len > limit => Some(announced),
                    announced => {
                        self.stage = Stage::Collecting { collected, awaits };
                        return match announced {
                            Announced::Chunks | Announced::Nothing if len > limit => Passed::TooLong,
                            _ => Passed::Accepted,
                        };
                    }
                };
                pieces = collected;
                (Output::open(self.transform, length), awaits)
            }
            Stage::Streaming { output, awaits } => (output, awaits),
            other => {
                self.stage = other;
                return Passed::Accepted;
            }
        };
        output.write(&mut pieces);
        if !end {
            self.stage = Stage::Streaming { output, awaits };
            return Passed::Accepted;
        }
        let complete = output.is_complete();
        self.stage = Stage::Sending(output);
        if complete {
            Passed::Accepted
        } else {
            let announced = match self.announced {
                Announced::Length(length) => Some(length),
                Announced::Chunks | Announced::Nothing => None,
            };
            Passed::LengthChanged { announced }
        }
    }

    /// The server has taken the whole of the output.
    pub fn taken(&mut self) {
        self.replace(|stage| match stage {
            Stage::Streaming { output, .. } | Stage::Sending(output) => Stage::Taken { output, looks: 0 },
            other => other,
        });
    }

    /// An answer takes the place of the body. True if the server has got a part of it already.
    pub fn refuse(&mut self) -> bool {
        let since = self.input.taken();
        self.replace(|stage| Stage::Refused {
            since,
            output: stage.into_output(),
        });
        matches!(self.stage, Stage::Refused { output: Some(_), .. })
    }

    /// The origin has answered before it had taken all.
    pub fn abort(&mut self) {
        self.replace(|stage| Stage::Aborted {
            _output: stage.into_output(),
        });
    }

    /// Takes what comes of a refused body, and opens the output when the client has said it all or too much.
    pub fn drain(&mut self) {
        let Stage::Refused { since, output } = &mut self.stage else {
            return;
        };
        self.input.drain();
        if output.is_none() && (self.input.has_ended() || self.input.taken() - *since > DRAIN) {
            let mut opened = Output::open(self.transform, Some(1));
            opened.write(&mut Pieces::from(Bytes::from_static(b"\n")));
            *output = Some(opened);
        }
    }

    /// Takes note that the client's side is told that all is done. False if it has been told before, or must not be.
    pub fn tell(&mut self) -> bool {
        matches!(self.stage, Stage::Taken { .. } | Stage::Refused { .. }) && self.input.tell_end()
    }

    /// The output to the server, once it is open.
    pub fn output(&mut self) -> Option<&mut Output> {
        match &mut self.stage {
            Stage::New | Stage::Collecting { .. } => None,
            Stage::Streaming { output, .. } | Stage::Sending(output) | Stage::Taken { output, .. } => {
                Some(output)
            }
            Stage::Refused { output, .. } | Stage::Aborted { _output: output } => output.as_mut(),
        }
    }

    fn replace(&mut self, next: impl FnOnce(Stage) -> Stage) {
        let stage = std::mem::replace(&mut self.stage, Stage::Aborted { _output: None });
        self.stage = next(stage);
    }
}

impl Stage {
    /// The output, if it is open; collected bytes are dropped.
    fn into_output(self) -> Option<Output> {
        match self {
            Self::New | Self::Collecting { .. } => None,
            Self::Streaming { output, .. } | Self::Sending(output) | Self::Taken { output, .. } => {
                Some(output)
            }
            Self::Refused { output, .. } | Self::Aborted { _output: output } => output,
        }
    }
}
