//! `Max-Forwards` of OPTIONS and TRACE (RFC 9110, 7.6.2): a request that may go no further is answered here.

use bytes::{BufMut, BytesMut};
use http::Method;
use http::header::{self, HeaderName, HeaderValue};
use weir_chain::{RequestHead, local_reply};
use weir_host::LocalResponse;

/// Fields that an answer to TRACE does not show: they may be secrets.
const SECRET: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Counts one hop. Returns the answer to a request that has none left.
pub(crate) fn count_hop(head: &mut RequestHead) -> Option<LocalResponse> {
    if head.method != Method::OPTIONS && head.method != Method::TRACE {
        return None;
    }
    let left = head.fields.get(header::MAX_FORWARDS)?.to_str().ok()?.trim();
    // What is no number says nothing.
    let left: u64 = left.parse().ok()?;
    let Some(left) = left.checked_sub(1) else {
        return Some(answer(head));
    };
    head.fields.insert(header::MAX_FORWARDS, HeaderValue::from(left));
    None
}

fn answer(head: &RequestHead) -> LocalResponse {
    let mut reply = local_reply::plain(200, "max_forwards_reached", "");
    if head.method == Method::TRACE {
        reply.headers = vec![(b"content-type".to_vec(), b"message/http".to_vec())];
        reply.body = text(head);
    }
    reply
}

fn text(head: &RequestHead) -> Vec<u8> {
    let mut text = BytesMut::new();
    text.put_slice(format!("TRACE {} HTTP/1.1\r\n", head.path.sent()).as_bytes());
    text.put_slice(b"host: ");
    text.put_slice(&head.authority);
    text.put_slice(b"\r\n");
    let shown = head
        .fields
        .iter()
        .filter(|(name, _)| **name != header::HOST && !SECRET.contains(name));
    for (name, value) in shown {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(b"\r\n");
    text.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn counted(method: Method, left: &'static str) -> (Option<String>, Option<String>) {
        let state = testing::state(0);
        let head = &mut state.borrow_mut().messages.request;
        head.method = method;
        head.fields
            .insert(header::MAX_FORWARDS, HeaderValue::from_static(left));
        head.fields
            .insert(header::COOKIE, HeaderValue::from_static("secret"));
        let reply = count_hop(head).map(|reply| String::from_utf8(reply.body).unwrap());
        let value = head.fields[header::MAX_FORWARDS].to_str().unwrap().to_owned();
        (reply, Some(value))
    }

    #[test]
    fn hops_are_counted_and_the_last_one_answers() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(counted(Method::OPTIONS, "0"), (some(""), some("0")));
        assert_eq!(counted(Method::OPTIONS, "5"), (None, some("4")));
        assert_eq!(counted(Method::OPTIONS, "x"), (None, some("x")));
        assert_eq!(counted(Method::GET, "0"), (None, some("0")));
        let (trace, _) = counted(Method::TRACE, "0");
        assert_eq!(
            trace.unwrap(),
            "TRACE / HTTP/1.1\r\nhost: a.example\r\nmax-forwards: 0\r\n\r\n"
        );
    }
}
