//! The transform between the server and the client: what has become of the response.

use std::rc::Rc;

use weir_ats_sys::TSVConn;
use weir_chain::{Length, Pieces};

use super::super::TxnPump;
use super::super::awaits::Awaits;
use super::super::output::Output;
use super::super::source::BodyInput;

/// A transform between server and client, which the server runs.
pub(in crate::txn) struct ResponseTransform {
    /// The server's handle.
    pub transform: TSVConn,
    /// The bytes from the server.
    pub input: Rc<BodyInput>,
    pub(super) stage: Stage,
}

/// The position of the response in the transform.
pub(super) enum Stage {
    /// The response is with the filters.
    Filtering {
        pump: Box<TxnPump>,
        part: Part,
        awaits: Awaits,
    },
    /// Everything has gone out; the rest of the input goes nowhere.
    Done(Output),
    /// Broken off.
    Broken(Option<Output>),
}

/// The part of a response that comes next through the filters.
pub(super) enum Part {
    /// The head of a part of a body: the filters see no more of the response.
    OnlyHead,
    /// The head.
    Head,
    /// The head has come through; the length of the body is being found out.
    Length { end_of_stream: bool },
    /// The head has gone out, and the body follows.
    Body {
        output: Output,
        /// The client has more to take than should wait for it.
        client_is_slow: bool,
    },
}

impl ResponseTransform {
    /// Begins with a head, which `pump` sends through the filters.
    pub(super) fn new(transform: TSVConn, input: Rc<BodyInput>, pump: Box<TxnPump>, part: Part) -> Self {
        Self {
            transform,
            input,
            stage: Stage::Filtering {
                pump,
                part,
                awaits: Awaits::Input,
            },
        }
    }

    /// True while the response is with the filters, or if it has been broken off.
    pub fn is_busy(&self) -> bool {
        !self.is_done()
    }

    /// True if everything has gone out.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    /// True if the response has been broken off.
    pub fn is_broken(&self) -> bool {
        matches!(self.stage, Stage::Broken(_))
    }

    /// True while a filter holds the response.
    pub fn is_held(&self) -> bool {
        matches!(
            self.stage,
            Stage::Filtering {
                awaits: Awaits::Filters,
                ..
            }
        )
    }

    /// True if the client has enough to take for the moment.
    pub fn is_full(&self) -> bool {
        match &self.stage {
            Stage::Filtering {
                part:
                    Part::Body {
                        output,
                        client_is_slow,
                    },
                ..
            } => *client_is_slow || output.is_full(),
            _ => false,
        }
    }

    /// The filters have been polled. `asked`: one has asked for more of the body than was there.
    pub fn polled(&mut self, asked: bool) {
        let full = matches!(
            &self.stage,
            Stage::Filtering { part: Part::Body { output, .. }, .. } if output.is_full()
        );
        if let Stage::Filtering { awaits, .. } = &mut self.stage {
            *awaits = Awaits::of(full, asked);
        }
    }

    /// The output to the client, once it is open.
    pub fn output(&mut self) -> Option<&mut Output> {
        match &mut self.stage {
            Stage::Filtering { part, .. } => match part {
                Part::OnlyHead | Part::Head | Part::Length { .. } => None,
                Part::Body { output, .. } => Some(output),
            },
            Stage::Done(output) => Some(output),
            Stage::Broken(output) => output.as_mut(),
        }
    }

    /// The head has come through the filters.
    pub fn head_passed(&mut self, end_of_stream: bool) {
        if let Stage::Filtering { part, .. } = &mut self.stage
            && let Part::Head = part
        {
            *part = Part::Length { end_of_stream };
        }
    }

    /// The head of a part of a body has come through the filters; the rest comes out of `rest`, which begins with the head.
    pub fn leave_filters(&mut self, rest: Box<TxnPump>) {
        if let Stage::Filtering { part, pump, .. } = &mut self.stage
            && let Part::OnlyHead = part
        {
            *part = Part::Head;
            *pump = rest;
        }
    }

    /// The head goes out, with what is known of the body's length.
    pub fn open(&mut self, length: Length) {
        let length = match length {
            Length::None => Some(0),
            Length::Exact(length) => Some(length),
            Length::Open => None,
        };
        if let Stage::Filtering { part, .. } = &mut self.stage
            && let Part::Length { .. } = part
        {
            *part = Part::Body {
                output: Output::open(self.transform, length),
                client_is_slow: false,
            };
        }
        if length == Some(0) {
            self.pass(Pieces::default(), true);
        }
    }

    /// A part of the body has come through the filters.
    pub fn pass(&mut self, mut pieces: Pieces, end: bool) {
        if let Stage::Filtering {
            part: Part::Body { output, .. },
            ..
        } = &mut self.stage
        {
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
        if let Stage::Filtering { .. } = self.stage {
            self.break_off();
        }
    }

    /// Nothing more comes out of the input.
    pub fn detach(&self) {
        self.input.detach();
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
            Self::Filtering { part, .. } => match part {
                Part::OnlyHead | Part::Head | Part::Length { .. } => None,
                Part::Body { output, .. } => Some(output),
            },
            Self::Done(output) => Some(output),
            Self::Broken(output) => output,
        }
    }
}
