//! The transform between the server and the client: what has become of the response.

use std::rc::Rc;

use weir_ats_sys::TSVConn;
use weir_chain::{Length, Pieces};

use super::super::TxnPump;
use super::super::output::Output;
use super::super::source::BodyInput;

/// A transform between server and client.
pub(in crate::txn) struct ResponseTransform {
    /// The server's handle.
    pub transform: TSVConn,
    /// The bytes from the server.
    pub input: Rc<BodyInput>,
    /// A filter holds the response.
    pub held: bool,
    /// The input has been told that all of it has been taken.
    pub input_told: bool,
    pub(super) stage: Stage,
}

/// The position of the response in the transform.
pub(super) enum Stage {
    /// No event has come yet.
    New,
    /// The head is with the filters.
    Head(Box<TxnPump>),
    /// The head has come through the filters; the length of the body is being found out.
    Length { pump: Box<TxnPump>, end_of_stream: bool },
    /// The head has gone out; the body comes through the filters.
    Body {
        pump: Box<TxnPump>,
        output: Output,
        /// The client has more to take than should wait for it.
        client_is_slow: bool,
    },
    /// Everything has gone out; the rest of the input goes nowhere.
    Done(Output),
    /// Broken off.
    Broken(Option<Output>),
}

impl ResponseTransform {
    pub fn new(transform: TSVConn) -> Self {
        Self {
            transform,
            input: Rc::default(),
            held: false,
            input_told: false,
            stage: Stage::New,
        }
    }

    /// True while the response is with the filters.
    pub fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::New | Stage::Done(_))
    }

    /// True if everything has gone out.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// True if the response has been broken off.
    pub fn is_broken(&self) -> bool {
        matches!(self.stage, Stage::Broken(_))
    }

    /// True if the client has enough to take for the moment.
    pub fn is_full(&self) -> bool {
        matches!(&self.stage, Stage::Body { output, client_is_slow, .. } if *client_is_slow || output.is_full())
    }

    /// The output to the client, once it is open.
    pub fn output(&mut self) -> Option<&mut Output> {
        match &mut self.stage {
            Stage::New | Stage::Head(_) | Stage::Length { .. } => None,
            Stage::Body { output, .. } | Stage::Done(output) => Some(output),
            Stage::Broken(output) => output.as_mut(),
        }
    }

    /// The head has come through the filters.
    pub fn head_passed(&mut self, end_of_stream: bool) {
        self.replace(|stage| match stage {
            Stage::Head(pump) => Stage::Length { pump, end_of_stream },
            other => other,
        });
    }

    /// The head goes out, with what is known of the body's length.
    pub fn open(&mut self, length: Length) {
        let transform = self.transform;
        let length = match length {
            Length::None => Some(0),
            Length::Exact(length) => Some(length),
            Length::Open => None,
        };
        self.replace(|stage| match stage {
            Stage::Length { pump, .. } => Stage::Body {
                pump,
                output: Output::open(transform, length),
                client_is_slow: false,
            },
            other => other,
        });
        if length == Some(0) {
            self.pass(Pieces::default(), true);
        }
    }

    /// A part of the body has come through the filters.
    pub fn pass(&mut self, mut pieces: Pieces, end: bool) {
        if let Stage::Body { output, .. } = &mut self.stage {
            output.write(&mut pieces);
            if end {
                self.replace(|stage| match stage.into_output() {
                    Some(mut output) => {
                        output.end();
                        match output.is_complete() {
                            true => Stage::Done(output),
                            false => Stage::Broken(Some(output)),
                        }
                    }
                    None => Stage::Broken(None),
                });
            }
        }
    }

    /// The body is this one instead, all of which goes out at once. Before the output has been opened.
    pub fn answer(&mut self, mut body: Pieces) {
        let mut output = Output::open(self.transform, Some(body.len() as u64));
        output.write(&mut body);
        self.stage = Stage::Done(output);
    }

    /// Breaks the response off.
    pub fn break_off(&mut self) {
        self.replace(|stage| Stage::Broken(stage.into_output()));
    }

    /// The filters have no further part in it: a response that is with them breaks off.
    pub fn let_go(&mut self) {
        self.held = false;
        if let Stage::Head(_) | Stage::Length { .. } | Stage::Body { .. } = self.stage {
            self.break_off();
        }
    }

    fn replace(&mut self, next: impl FnOnce(Stage) -> Stage) {
        let stage = std::mem::replace(&mut self.stage, Stage::Broken(None));
        self.stage = next(stage);
    }
}

impl Stage {
    /// The output, without the filters.
    fn into_output(self) -> Option<Output> {
        match self {
            Self::New | Self::Head(_) | Self::Length { .. } => None,
            Self::Body { output, .. } | Self::Done(output) => Some(output),
            Self::Broken(output) => output,
        }
    }
}
