//! How long a body will be, said right: `content-length` is recomputed where the whole body is known when the head goes
//! out, kept where nobody can have changed the body, and taken away otherwise.

use std::task::{Context, Poll, ready};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::pump::Item;
use crate::pump::chain::{FilterCalls, Pump};
use crate::pump::source::Source;

/// What is known of the length of a body when its head goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is no body.
    None,
    /// So many bytes.
    Exact(u64),
    /// Only the end of the body will tell.
    Open,
}

/// Settles the length of a request whose head has come through with this `end_of_stream`.
pub(crate) fn settle_request_length<S: Source, C: FilterCalls>(
    pump: &mut Pump<S, C>,
    cx: &mut Context<'_>,
    end_of_stream: bool,
) -> Length {
    // The head of a request does not wait for its body: the upstream may have something to say about it.
    let length = match poll_length(pump, cx, end_of_stream) {
        Poll::Ready(length) => length,
        Poll::Pending => Length::Open,
    };
    let mut state = pump.state().borrow_mut();
    let fields = &mut state.request.fields;
    match length {
        // Whoever announced a body still announces one, now an empty one.
        Length::None if fields.contains_key(header::CONTENT_LENGTH) => set(fields, 0),
        Length::None => {}
        Length::Exact(bytes) => set(fields, bytes),
        Length::Open => remove(fields),
    }
    length
}

/// As [`settle_request_length`], for the response to a request with `method`.
///
/// `patient`: where a filter may change the body, the head waits for the first piece that the filters let go. So the
/// length of a body that a filter collects is known, and one that turns out to be too large, or that a filter objects to,
/// can still be answered with a status.
pub(crate) fn poll_response_length<S: Source, C: FilterCalls>(
    pump: &mut Pump<S, C>,
    cx: &mut Context<'_>,
    end_of_stream: bool,
    method: &Method,
    patient: bool,
) -> Poll<Length> {
    let status = pump
        .state()
        .borrow()
        .response
        .as_ref()
        .map_or(StatusCode::OK, |head| head.status);
    if method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        // The length is that of the body that is not sent, and stays if it is one.
        let mut state = pump.state().borrow_mut();
        if let Some(head) = &mut state.response
            && head
                .fields
                .get(header::CONTENT_LENGTH)
                .is_some_and(|value| !is_number(value))
        {
            remove(&mut head.fields);
        }
        return Poll::Ready(Length::None);
    }
    let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::RESET_CONTENT;
    let length = match poll_length(pump, cx, end_of_stream || bodiless) {
        Poll::Ready(length) => length,
        Poll::Pending if patient => return Poll::Pending,
        Poll::Pending => Length::Open,
    };
    let mut state = pump.state().borrow_mut();
    let Some(head) = &mut state.response else {
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

fn poll_length<S: Source, C: FilterCalls>(
    pump: &mut Pump<S, C>,
    cx: &mut Context<'_>,
    end_of_stream: bool,
) -> Poll<Length> {
    if end_of_stream {
        return Poll::Ready(Length::None);
    }
    if !pump.may_change_body() {
        return Poll::Ready(pump.announced_length().map_or(Length::Open, Length::Exact));
    }
    Poll::Ready(match ready!(pump.poll_peek(cx)) {
        Some(Item::Data(body, true)) => Length::Exact(body.len() as u64),
        _ => Length::Open,
    })
}

fn set(fields: &mut HeaderMap, bytes: u64) {
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
}

fn remove(fields: &mut HeaderMap) {
    crate::stream::fields::remove(fields, &header::CONTENT_LENGTH);
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}
