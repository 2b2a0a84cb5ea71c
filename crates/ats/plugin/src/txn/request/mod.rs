//! The request on its way through the filters.
//!
//! Its head passes at a hook (READ_REQUEST_HDR, or in the remap rule); its body passes through a transform between the
//! client and the origin, which exists only if a filter wants the body.

mod body;
mod head;
mod transform;

use std::cell::OnceCell;
use std::rc::Rc;

use super::TxnPump;
use super::source::BodyInput;

pub(super) use body::on_event;
pub(super) use transform::{Announced, RequestTransform};

/// The request's side of a transaction.
#[derive(Default)]
pub(super) struct RequestDirection {
    pub stage: RequestStage,
    pub transform: Option<Box<RequestTransform>>,
    /// The source of the body, made when something first reads from it. `None`: the request has no body.
    body: Option<OnceCell<Rc<BodyInput>>>,
}

/// The position of the request in its filters.
#[derive(Default)]
pub(super) enum RequestStage {
    /// No filter has anything to do with the request: it has not come yet, passed whole, or was answered.
    #[default]
    Idle,
    /// The head is with a filter, and the server waits for it at a hook.
    Head(Box<TxnPump>),
    /// The head is with a filter that wants to see the body first. The server has gone on, since the body comes only when
    /// the connection to the origin stands; the head can be changed until then.
    HeadDeferred(Box<TxnPump>),
    /// The head has passed; the body follows.
    Body(Box<TxnPump>),
    /// The server waits at a hook until the filters have seen the end of a body that has no bytes.
    Tail(Box<TxnPump>),
}

impl RequestStage {
    /// The filters, while they have to do with the request.
    pub fn pump(&mut self) -> Option<&mut TxnPump> {
        match self {
            Self::Idle => None,
            Self::Head(pump) | Self::HeadDeferred(pump) | Self::Body(pump) | Self::Tail(pump) => Some(pump),
        }
    }

    /// Takes the filters out; they have nothing more to do with the request.
    fn take(&mut self) -> Option<Box<TxnPump>> {
        match std::mem::take(self) {
            Self::Idle => None,
            Self::Head(pump) | Self::HeadDeferred(pump) | Self::Body(pump) | Self::Tail(pump) => Some(pump),
        }
    }

    /// Goes on to another stage with the same filters.
    fn shift(&mut self, next: fn(Box<TxnPump>) -> Self) {
        if let Some(pump) = self.take() {
            *self = next(pump);
        }
    }
}

impl RequestDirection {
    /// The request has a body.
    fn expect_body(&mut self) {
        self.body = Some(OnceCell::new());
    }

    /// True if the request has a body.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// The source of the body; an empty one where there is none.
    pub fn input(&self) -> Rc<BodyInput> {
        match &self.body {
            Some(body) => Rc::clone(body.get_or_init(Rc::default)),
            None => Rc::default(),
        }
    }

    /// True if a filter has asked for more of the body than was there; forgets it.
    fn take_asked(&self) -> bool {
        let input = self.body.as_ref().and_then(OnceCell::get);
        input.is_some_and(|input| input.take_asked())
    }

    /// Nothing more comes of the body.
    fn detach(&self) {
        if let Some(input) = self.body.as_ref().and_then(OnceCell::get) {
            input.detach();
        }
    }

    /// True while a filter holds the body.
    pub fn is_held(&self) -> bool {
        self.transform.as_ref().is_some_and(|part| part.is_held())
    }

    /// The server has ended the transaction.
    pub fn close(&mut self) {
        self.stage = RequestStage::Idle;
        self.detach();
    }
}
