//! The response on its way through the filters.
//!
//! Filters see it in a transform between server and client, if one of them wants the body or may answer by itself; else
//! its head at SEND_RESPONSE_HDR. An answer of a filter's own passes the filters before the server gets it.

mod body;
mod head;
mod transform;

use weir_ats_sys::TSVConn;

use super::TxnPump;
use super::reply::FinalReply;

pub(super) use body::on_event;
pub(super) use transform::ResponseTransform;

/// The response's side of a transaction.
pub(super) enum ResponseDirection {
    /// The server does not send yet, and runs no transform.
    Ahead {
        /// The filters' part so far.
        answer: Answer,
        /// A transform that the server will run if it has a body for it.
        added: Option<TSVConn>,
    },
    /// The filters see the response in the transform, until the server closes that.
    Transformed(Option<Box<ResponseTransform>>),
    /// The server has begun to send, and takes what a transform puts out.
    Sending {
        /// The origin of what is sent.
        head: SentHead,
        transform: SentTransform,
    },
}

/// The filters' part in a response that the server does not send yet.
pub(super) enum Answer {
    /// The filters have not seen a response.
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
    /// An answer has come through the filters, and the server is to send it.
    Reply(Box<FinalReply>),
}

/// The origin of the response that the server sends.
pub(super) enum SentHead {
    /// The server.
    Server,
    /// The server, which waits at a hook for the filters; they see no more than the head.
    Held(Box<TxnPump>),
    /// An answer of the filters.
    Reply(Box<FinalReply>),
}

/// The transform of a response that the server sends.
pub(super) enum SentTransform {
    /// There is none, or it has been closed.
    None,
    /// The server has not run it.
    Added(TSVConn),
    /// The response is in it.
    Running(Box<ResponseTransform>),
}

/// The response that the server is about to send, as the filters know it.
pub(super) enum Known {
    /// The filters have not seen it.
    Unseen,
    /// The filters have been shown it in the transform.
    Seen,
    /// The filters have made what was found in the cache.
    Made,
    /// An answer of the filters.
    Reply(Box<FinalReply>),
}

impl Default for ResponseDirection {
    fn default() -> Self {
        Self::Ahead {
            answer: Answer::Unseen,
            added: None,
        }
    }
}

impl ResponseDirection {
    /// The answer that takes the place of a response, as far as it has come through the filters.
    pub fn reply(&self) -> Option<&FinalReply> {
        match self {
            Self::Ahead { answer, .. } => match answer {
                Answer::Local { reply, .. } => reply.as_deref(),
                Answer::Reply(reply) => Some(reply),
                Answer::Unseen | Answer::MadeBefore => None,
            },
            Self::Sending {
                head: SentHead::Reply(reply),
                ..
            } => Some(reply),
            Self::Transformed(_) | Self::Sending { .. } => None,
        }
    }

    /// The final answer is there.
    pub fn set_reply(&mut self, reply: Box<FinalReply>) {
        match self {
            Self::Sending { head, .. } => *head = SentHead::Reply(reply),
            Self::Ahead { .. } | Self::Transformed(_) => self.set_answer(Answer::Reply(reply)),
        }
    }

    /// An answer is on its way through the filters.
    pub fn begin_reply(&mut self, pump: Box<TxnPump>) {
        self.set_answer(Answer::Local { pump, reply: None });
    }

    /// The answer that is on its way through the filters, with the part that has come through.
    pub fn local(&mut self) -> Option<(&mut TxnPump, &mut Option<Box<FinalReply>>)> {
        match self {
            Self::Ahead {
                answer: Answer::Local { pump, reply },
                ..
            } => Some((pump, reply)),
            _ => None,
        }
    }

    /// The answer is not on its way through the filters any more; returns what has come through.
    pub fn end_local(&mut self) -> Option<Box<FinalReply>> {
        match self {
            Self::Ahead { answer, .. } => match std::mem::replace(answer, Answer::Unseen) {
                Answer::Local { reply, .. } => reply,
                other => {
                    *answer = other;
                    None
                }
            },
            _ => None,
        }
    }

    /// True while an answer is on its way through the filters.
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Ahead {
                answer: Answer::Local { .. },
                ..
            }
        )
    }

    /// The filters that hold the head which the server is about to send.
    pub fn held_head(&mut self) -> Option<&mut TxnPump> {
        match self {
            Self::Sending {
                head: SentHead::Held(pump),
                ..
            } => Some(pump),
            _ => None,
        }
    }

    /// True while filters hold the head which the server is about to send.
    pub fn is_head_held(&self) -> bool {
        matches!(
            self,
            Self::Sending {
                head: SentHead::Held(_),
                ..
            }
        )
    }

    /// The server begins to send the response; returns it as the filters know it.
    pub fn send(&mut self) -> Known {
        let (known, transform) = match std::mem::take(self) {
            Self::Ahead { answer, added } => {
                let known = match answer {
                    Answer::Unseen | Answer::Local { reply: None, .. } => Known::Unseen,
                    Answer::MadeBefore => Known::Made,
                    Answer::Local {
                        reply: Some(reply), ..
                    }
                    | Answer::Reply(reply) => Known::Reply(reply),
                };
                (known, added.map_or(SentTransform::None, SentTransform::Added))
            }
            Self::Transformed(part) => (
                Known::Seen,
                part.map_or(SentTransform::None, SentTransform::Running),
            ),
            Self::Sending { head, transform } => {
                let known = match head {
                    SentHead::Reply(reply) => Known::Reply(reply),
                    SentHead::Server | SentHead::Held(_) => Known::Seen,
                };
                (known, transform)
            }
        };
        *self = Self::Sending {
            head: SentHead::Server,
            transform,
        };
        known
    }

    /// Sets the origin of the response that the server sends.
    pub fn set_sent(&mut self, sent: SentHead) {
        if let Self::Sending { head, .. } = self {
            *head = sent;
        }
    }

    /// True if the server has begun to send the response, and takes what the transform puts out.
    pub fn is_sending(&self) -> bool {
        matches!(self, Self::Sending { .. })
    }

    /// Says whether the response is one of the cache that the filters have made before.
    pub fn set_made_before(&mut self, made: bool) {
        if let Self::Ahead { answer, .. } = self
            && let Answer::Unseen | Answer::MadeBefore = answer
        {
            *answer = match made {
                true => Answer::MadeBefore,
                false => Answer::Unseen,
            };
        }
    }

    /// True if the response is one of the cache that the filters have made before.
    pub fn is_made_before(&self) -> bool {
        matches!(
            self,
            Self::Ahead {
                answer: Answer::MadeBefore,
                ..
            }
        )
    }

    /// Forgets an answer that has come through the filters.
    pub fn forget_answer(&mut self) {
        if let Self::Ahead { answer, .. } = self {
            *answer = Answer::Unseen;
        }
    }

    /// A transform has been added to the transaction, which has none.
    pub fn add_transform(&mut self, new: TSVConn) {
        match self {
            Self::Ahead { added, .. } => *added = Some(new),
            Self::Transformed(_) => {
                *self = Self::Ahead {
                    answer: Answer::Unseen,
                    added: Some(new),
                };
            }
            Self::Sending { transform, .. } => *transform = SentTransform::Added(new),
        }
    }

    /// The server runs the transform that was added.
    pub fn run(&mut self, new: Box<ResponseTransform>) {
        match self {
            Self::Sending { transform, .. } => *transform = SentTransform::Running(new),
            Self::Ahead { .. } | Self::Transformed(_) => *self = Self::Transformed(Some(new)),
        }
    }

    /// The transform is no more. `None`: there was none.
    pub fn take_transform(&mut self) -> Option<SentTransform> {
        match self {
            Self::Ahead { added, .. } => added.take().map(SentTransform::Added),
            Self::Transformed(part) => part.take().map(SentTransform::Running),
            Self::Sending { transform, .. } => match std::mem::replace(transform, SentTransform::None) {
                SentTransform::None => None,
                part => Some(part),
            },
        }
    }

    /// True if a transform has been added and not been closed.
    pub fn has_transform(&self) -> bool {
        self.added().is_some() || self.transform().is_some()
    }

    /// The transform that the server has not run.
    pub fn added(&self) -> Option<TSVConn> {
        match self {
            Self::Ahead { added, .. } => *added,
            Self::Sending {
                transform: SentTransform::Added(added),
                ..
            } => Some(*added),
            Self::Transformed(_) | Self::Sending { .. } => None,
        }
    }

    /// The transform that the server runs.
    pub fn transform(&self) -> Option<&ResponseTransform> {
        match self {
            Self::Transformed(part) => part.as_deref(),
            Self::Sending {
                transform: SentTransform::Running(part),
                ..
            } => Some(part),
            Self::Ahead { .. } | Self::Sending { .. } => None,
        }
    }

    /// The transform that the server runs.
    pub fn transform_mut(&mut self) -> Option<&mut ResponseTransform> {
        match self {
            Self::Transformed(part) => part.as_deref_mut(),
            Self::Sending {
                transform: SentTransform::Running(part),
                ..
            } => Some(part),
            Self::Ahead { .. } | Self::Sending { .. } => None,
        }
    }

    /// True while a filter holds the body.
    pub fn is_held(&self) -> bool {
        self.transform().is_some_and(ResponseTransform::is_held)
    }

    /// The filters have no further part in the response. A body that is with them breaks off.
    pub fn let_go(&mut self) {
        match self {
            Self::Ahead { answer, .. } if matches!(answer, Answer::Local { .. }) => *answer = Answer::Unseen,
            Self::Sending { head, .. } if matches!(head, SentHead::Held(_)) => *head = SentHead::Server,
            _ => {}
        }
        if let Some(part) = self.transform_mut() {
            part.let_go();
        }
    }

    /// An answer takes the place of a response of the server's. A transform that was added stays so; one that runs has no
    /// further part in the transaction.
    fn set_answer(&mut self, answer: Answer) {
        let added = self.added();
        if let Some(part) = self.transform() {
            part.detach();
        }
        *self = Self::Ahead { answer, added };
    }
}
