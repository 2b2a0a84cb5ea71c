//! The response on its way through the filters.
//!
//! Filters see it in a transform between server and client, if one of them wants the body or may answer by itself; else
//! its head at SEND_RESPONSE_HDR. An answer of a filter's own passes the filters before the server gets it.

mod body;
mod head;
mod transform;

use super::TxnPump;
use super::reply::FinalReply;

pub(super) use body::on_event;
pub(super) use transform::ResponseTransform;

/// The response's side of a transaction.
#[derive(Default)]
pub(super) struct ResponseDirection {
    pub progress: ResponseProgress,
    pub transform: Option<Box<ResponseTransform>>,
}

/// The progress of the response between server, filters and client.
#[derive(Default)]
pub(super) enum ResponseProgress {
    /// The filters have not seen a response.
    #[default]
    Unseen,
    /// The response comes out of the cache as the filters have made it before: they are not shown it again.
    MadeBefore,
    /// A filter's own answer is on its way through the filters, and the server waits for it at a hook.
    Local {
        /// The filters.
        pump: Box<TxnPump>,
        /// The part that has come through, from the head on.
        reply: Option<Box<FinalReply>>,
    },
    /// An answer has come through the filters, and the server sends it.
    Reply(Box<FinalReply>),
    /// The filters see the response in the transform.
    Transformed,
    /// The server is about to send the head, and waits at a hook for the filters, which see no more than the head.
    Head(Box<TxnPump>),
    /// The server has begun to send the response, which is an answer where one is here.
    Sending(Option<Box<FinalReply>>),
}

impl ResponseDirection {
    /// The answer that takes the place of a response, as far as it has come through the filters.
    pub fn reply(&self) -> Option<&FinalReply> {
        match &self.progress {
            ResponseProgress::Local { reply, .. } | ResponseProgress::Sending(reply) => reply.as_deref(),
            ResponseProgress::Reply(reply) => Some(reply),
            ResponseProgress::Unseen
            | ResponseProgress::MadeBefore
            | ResponseProgress::Transformed
            | ResponseProgress::Head(_) => None,
        }
    }

    /// The final answer is there.
    pub fn set_reply(&mut self, reply: Box<FinalReply>) {
        self.progress = match self.is_sending() {
            true => ResponseProgress::Sending(Some(reply)),
            false => ResponseProgress::Reply(reply),
        };
    }

    /// True if the server has begun to send the response, and takes what the transform puts out.
    pub fn is_sending(&self) -> bool {
        matches!(
            self.progress,
            ResponseProgress::Head(_) | ResponseProgress::Sending(_)
        )
    }

    /// Says whether the response is one of the cache that the filters have made before.
    pub fn set_made_before(&mut self, made: bool) {
        if let ResponseProgress::Unseen | ResponseProgress::MadeBefore = self.progress {
            self.progress = match made {
                true => ResponseProgress::MadeBefore,
                false => ResponseProgress::Unseen,
            };
        }
    }

    /// True while a filter holds the body.
    pub fn is_held(&self) -> bool {
        self.transform.as_ref().is_some_and(|part| part.held)
    }

    /// The filters have no further part in the response. A body that is with them breaks off.
    pub fn let_go(&mut self) {
        match self.progress {
            ResponseProgress::Local { .. } => self.progress = ResponseProgress::Unseen,
            ResponseProgress::Head(_) => self.progress = ResponseProgress::Sending(None),
            _ => {}
        }
        if let Some(part) = &mut self.transform {
            part.let_go();
        }
    }
}
