//! The length of a body, announced correctly: `content-length` is recomputed where the whole body is known when the head goes
//! out, kept where nobody can have changed the body, and taken away otherwise.

use std::task::{Context, Poll};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use weir_chain::{FilterCalls, Length, Pump, Source};
use weir_http_rules::{fields, status::is_bodiless};

use crate::stream::ProxyMessages;

/// Settles the length of a request whose head has come through with this `end_of_stream`.
///
/// The head waits for the first piece that the filters let go where the client has announced a length, so that it sends its
/// body whatever the upstream says: a body that a filter holds has its length then. Others are a conversation, perhaps, in
/// which the upstream speaks first.
pub(crate) fn poll_request_length<S: Source, C: FilterCalls>(
    pump: &mut Pump<S, C, ProxyMessages>,
    cx: &mut Context<'_>,
    end_of_stream: bool,
) -> Poll<Length> {
    let waits = pump.announced_length().is_some() && pump.source_mut().may_read_ahead();
    let length = match pump.poll_length(cx, end_of_stream) {
        Poll::Ready(length) => length,
        Poll::Pending if waits => return Poll::Pending,
        Poll::Pending => Length::Open,
    };
    let mut state = pump.state().borrow_mut();
    let lines = &mut state.messages.request.fields;
    match length {
        // Whoever announced a body still announces one, now an empty one.
        Length::None if lines.contains_key(header::CONTENT_LENGTH) => set(lines, 0),
        Length::None => {}
        Length::Exact(bytes) => set(lines, bytes),
        Length::Open => remove(lines),
    }
    Poll::Ready(length)
}

/// As [`poll_request_length`], for the response to a request with `method`.
///
/// `patient`: where a filter may change the body, the head waits for the first piece that the filters let go. So the
/// length of a body that a filter collects is known, and one that turns out to be too large, or that a filter objects to,
/// can still be answered with a status.
pub(crate) fn poll_response_length<S: Source, C: FilterCalls>(
    pump: &mut Pump<S, C, ProxyMessages>,
    cx: &mut Context<'_>,
    end_of_stream: bool,
    method: &Method,
    patient: bool,
) -> Poll<Length> {
    let status = pump
        .state()
        .borrow()
        .messages
        .response
        .as_ref()
        .map_or(StatusCode::OK, |head| head.status);
    if method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // The length is that of the body that is not sent, and stays if it is one that filters leave as it is.
        let unknown = pump.may_change_body();
        let mut state = pump.state().borrow_mut();
        if let Some(head) = &mut state.messages.response
            && head
                .fields
                .get(header::CONTENT_LENGTH)
                .is_some_and(|value| unknown || !is_number(value))
        {
            remove(&mut head.fields);
        }
        return Poll::Ready(Length::None);
    }
    let bodiless = is_bodiless(status.as_u16());
    let length = match pump.poll_length(cx, end_of_stream || bodiless) {
        Poll::Ready(length) => length,
        Poll::Pending if patient => return Poll::Pending,
        Poll::Pending => Length::Open,
    };
    let mut state = pump.state().borrow_mut();
    let Some(head) = &mut state.messages.response else {
        return Poll::Ready(length);
    };
    match length {
        Length::None if bodiless => remove(&mut head.fields),
        Length::None | Length::Exact(0) => set(&mut head.fields, 0),
        Length::Exact(bytes) => set(&mut head.fields, bytes),
        Length::Open => remove(&mut head.fields),
    }
    Poll::Ready(length)
}

fn set(lines: &mut HeaderMap, bytes: u64) {
    lines.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
}

fn remove(lines: &mut HeaderMap) {
    fields::remove(lines, &header::CONTENT_LENGTH);
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use weir_chain::{Direction, Interest, Item, LocalSource, StagePlan};
    use weir_host::{BodyAction, HeadersAction, StreamAction, VmGone};

    use super::*;
    use crate::testing;

    /// A filter that answers each body call so.
    struct Answers(BodyAction);

    impl FilterCalls for Answers {
        fn on_headers(&mut self, _: usize, _: Direction, _: usize, _: bool) -> Result<HeadersAction, VmGone> {
            Ok(HeadersAction::Continue)
        }

        fn on_body(&mut self, _: usize, _: Direction, _: usize, _: bool) -> Result<BodyAction, VmGone> {
            Ok(self.0)
        }

        fn on_trailers(&mut self, _: usize, _: Direction, _: usize) -> Result<StreamAction, VmGone> {
            Ok(StreamAction::Continue)
        }
    }

    /// The `content-length` that a request's 99 becomes, with a body of 4 bytes.
    fn settled(action: BodyAction) -> (Poll<Length>, Option<String>) {
        let state = testing::state(1);
        let plan = StagePlan {
            filter: 0,
            interest: Interest {
                headers: true,
                body: true,
                trailers: false,
            },
            fail_policy: weir_config::FailPolicy::Open,
            limit: 10,
        };
        let source = LocalSource::new(Bytes::from_static(b"body"));
        let mut pump = Pump::new(Direction::Request, [plan], source, Answers(action), state.clone());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(matches!(pump.poll_item(cx), Poll::Ready(Ok(Item::Head { .. }))));
        state
            .borrow_mut()
            .messages
            .request
            .fields
            .insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
        let length = poll_request_length(&mut pump, cx, false);
        let state = state.borrow();
        let line = state.messages.request.fields.get(header::CONTENT_LENGTH);
        (length, line.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_length_is_sent_only_where_it_is_known() {
        assert_eq!(
            settled(BodyAction::Continue),
            (Poll::Ready(Length::Exact(4)), Some("4".to_owned()))
        );
        // While a filter holds it, the head waits.
        assert_eq!(settled(BodyAction::StopAndBuffer).0, Poll::Pending);
    }
}
