//! Messages from the network, as the beginning of a chain.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http_body::Body;
use weir_chain::{Direction, Item, Pieces, Source, SourceError};

use crate::stream::SharedState;

/// A message from the network, counted on its way in.
pub(crate) struct IncomingSource<B> {
    body: B,
    state: SharedState,
    direction: Direction,
    stage: Stage,
    expects_continue: bool,
    passes_trailers: bool,
    announced: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    Ended,
}

impl<B: Body> IncomingSource<B> {
    /// `expects_continue`: the client sends no body before it has seen `100 Continue`. `passes_trailers`: trailers go on; else
    /// the message ends with its body.
    pub fn new(
        body: B,
        state: SharedState,
        direction: Direction,
        expects_continue: bool,
        passes_trailers: bool,
    ) -> Self {
        Self {
            // Asked now: what is left of a body becomes less.
            announced: body.size_hint().exact(),
            body,
            state,
            direction,
            stage: Stage::Head,
            expects_continue,
            passes_trailers,
        }
    }

    /// Returns true if the sender has something left that it sends without being asked.
    pub fn is_unread(&self) -> bool {
        self.stage != Stage::Ended && !self.expects_continue
    }

    /// The sender has said all.
    fn ended(&mut self) {
        self.stage = Stage::Ended;
        if self.direction == Direction::Request {
            self.state.borrow_mut().messages.facts.request_ended = true;
        }
    }

    fn count(&self, bytes: usize) {
        let facts = &mut self.state.borrow_mut().messages.facts;
        facts.moved_at = Instant::now();
        if self.direction == Direction::Request {
            facts.request_body += bytes as u64;
        }
    }
}

impl<B> Source for IncomingSource<B>
where
    B: Body + Unpin,
    B::Data: Into<Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Item, SourceError>> {
        match self.stage {
            Stage::Head => {
                let end_of_stream = self.body.is_end_stream();
                self.stage = if end_of_stream { Stage::Ended } else { Stage::Body };
                return Poll::Ready(Ok(Item::Head { end_of_stream }));
            }
            Stage::Ended => return Poll::Ready(Ok(Item::End)),
            Stage::Body => {}
        }
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Err(SourceError(error.into()))),
                None => {
                    self.ended();
                    return Poll::Ready(Ok(Item::Data(Pieces::default(), true)));
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let end_of_stream = self.body.is_end_stream();
                    if data.remaining() == 0 && !end_of_stream {
                        continue;
                    }
                    self.count(data.remaining());
                    if end_of_stream {
                        self.ended();
                    }
                    return Poll::Ready(Ok(Item::Data(Pieces::from(data.into()), end_of_stream)));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.ended();
                        if trailers.is_empty() || !self.passes_trailers {
                            return Poll::Ready(Ok(Item::Data(Pieces::default(), true)));
                        }
                        *self.state.borrow_mut().messages.trailers(self.direction) = Some(trailers);
                        return Poll::Ready(Ok(Item::Trailers));
                    }
                }
            }
        }
    }

    fn may_read_ahead(&self) -> bool {
        !self.expects_continue
    }

    fn announced_length(&self) -> Option<u64> {
        self.announced
    }
}
