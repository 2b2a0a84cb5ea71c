//! A filter's stage in one direction: the parts of the message that it has seen, holds back, or may pass on.

use weir_abi::FailPolicy;

use crate::pieces::Pieces;
use crate::pump::{Interest, StagePlan};

/// The state of a stage. The moves are made by [`Pump`](crate::Pump).
pub(crate) struct Stage {
    /// Place of the filter in the chain.
    pub filter: usize,
    /// Which callbacks the filter has in this direction.
    pub interest: Interest,
    /// Fate of the stream when the filter's VM is dead.
    pub fail_policy: FailPolicy,
    /// Bytes that may be held back.
    pub limit: usize,
    /// The position of the head.
    pub head: Head,
    /// The hold of the filter.
    pub hold: Hold,
    /// At the limit the sender is held back, rather than refused.
    pub watermark: bool,
    /// The filter sees what it held together with what is new.
    pub accumulate: bool,
    /// Body that the filter has let go and that waits to be pulled, or holds without looking at it again.
    pub ready: Pieces,
    /// Body that came while everything was stopped; the filter has not seen it.
    pub unseen: Pieces,
    /// The end of the body belongs to `unseen`: the filter has to be told.
    pub unseen_end: bool,
    /// Nothing more comes from the stage before.
    pub input_ended: bool,
    /// The position of the trailers.
    pub trailers: Trailers,
    /// Everything has been passed on.
    pub finished: bool,
    /// The VM has died and the stream goes on without the filter.
    pub bypassed: bool,
    /// The filter wants to see no more of the body.
    pub declined: bool,
    /// The filter has seen something of the body.
    pub body_shown: bool,
}

/// The position of the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// With an earlier stage.
    Awaited,
    /// Here: to be passed on when nothing is held.
    Here,
    /// Here, and let go although the body is held again.
    LetGo,
    /// With a later stage.
    Passed,
}

/// A filter's hold on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    Nothing,
    /// Everything, but its callbacks go on being called (Envoy: `StopIteration`).
    Passing,
    /// Everything, and it sees nothing more (Envoy: `StopAllIteration…`).
    All,
}

/// The position of the trailers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    /// There are none so far.
    None,
    /// Here; the filter has not seen them.
    Unseen,
    /// Here; the filter has seen or made them.
    Seen,
}

impl Stage {
    /// The stage of a filter before anything has come.
    pub fn new(plan: StagePlan) -> Self {
        let StagePlan {
            filter,
            interest,
            fail_policy,
            limit,
        } = plan;
        Self {
            filter,
            interest,
            fail_policy,
            limit,
            head: Head::Awaited,
            hold: Hold::Nothing,
            watermark: false,
            accumulate: false,
            ready: Pieces::default(),
            unseen: Pieces::default(),
            unseen_end: false,
            input_ended: false,
            trailers: Trailers::None,
            finished: false,
            bypassed: false,
            declined: false,
            body_shown: false,
        }
    }

    /// Returns true if the filter has a body callback, and has not declined further calls of it.
    pub fn wants_body(&self) -> bool {
        self.interest.body && !self.declined
    }

    /// Returns true if the message ends with the part that has been let go.
    pub fn ends_with_ready(&self) -> bool {
        self.input_ended
            && self.ready.is_empty()
            && self.unseen.is_empty()
            && !self.unseen_end
            && self.trailers == Trailers::None
    }

    /// Returns true if the filter has let everything go that it was given and will never be called again in this direction.
    pub fn is_transparent(&self) -> bool {
        self.hold == Hold::Nothing
            && self.head == Head::Passed
            && self.ready.is_empty()
            && self.unseen.is_empty()
            && !self.unseen_end
            && self.trailers == Trailers::None
            && !self.finished
            && (self.bypassed || !(self.wants_body() || self.interest.trailers))
    }

    pub fn calls_body(&self) -> bool {
        self.wants_body() && !self.bypassed
    }

    /// Returns true if something that came while everything was stopped can be shown now.
    pub fn unseen_waits(&self) -> bool {
        self.hold != Hold::All
            && self.head == Head::Passed
            && (!self.unseen.is_empty() || self.unseen_end || self.trailers == Trailers::Unseen)
    }

    /// Returns true if the filter sees the body, and what it holds of it is bounded by refusing more.
    pub fn is_bounded(&self) -> bool {
        self.calls_body() && !self.watermark
    }

    /// Returns true if more may be pulled from the stage before.
    pub fn may_pull(&self, read_ahead: bool) -> bool {
        match self.hold {
            Hold::Nothing => true,
            // A filter that waits for the body must get it, whatever the client expects.
            Hold::Passing => !self.watermark || self.ready.len() <= self.limit,
            Hold::All => read_ahead && (!self.watermark || self.unseen.len() < self.limit),
        }
    }
}
