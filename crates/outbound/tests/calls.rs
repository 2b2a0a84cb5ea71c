//! HTTP calls of guests.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use support::{Notes, answer, full, http, loaded, nobody, read_until, run, serve, upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_abi::{CallFailure, HttpCall, HttpCallResponse, Pairs, Status};
use weir_account::{Account, CallTicket, Calls, Ceiling, Charge};
use weir_config::Protocol;
use weir_outbound::{CallLimits, HttpCaller, NO_ROOM};

fn lines(lines: &[(&str, &str)]) -> Pairs {
    lines
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

fn call(upstream: &str) -> HttpCall {
    HttpCall {
        upstream: upstream.as_bytes().to_vec(),
        headers: lines(&[
            (":method", "GET"),
            (":path", "/a?b"),
            (":authority", "api.test"),
            ("x-in", "1"),
        ]),
        ..HttpCall::default()
    }
}

/// Makes a call whose guest has this much room.
async fn send_within(
    caller: &HttpCaller,
    call: HttpCall,
    room: usize,
) -> Result<HttpCallResponse, CallFailure> {
    let account = Account::new(room, &Ceiling::default());
    let answer = caller.call(call, ticket(&account)).await?;
    let charged = answer.charge.bytes();
    assert!(charged >= answer.response.body.capacity() && charged == account.held());
    Ok(answer.response)
}

async fn send(caller: &HttpCaller, call: HttpCall) -> Result<HttpCallResponse, CallFailure> {
    send_within(caller, call, 64 << 20).await
}

fn ticket(account: &Arc<Account>) -> CallTicket {
    Calls::default().begin(account, Charge::none())
}

fn caller_with(address: SocketAddr, protocol: Protocol, limits: CallLimits) -> HttpCaller {
    HttpCaller::new(
        [("origin".to_owned(), loaded(upstream(address, protocol)))],
        limits,
    )
}

fn caller(address: SocketAddr, protocol: Protocol) -> HttpCaller {
    caller_with(address, protocol, CallLimits::default())
}

fn broken(reason: &str) -> CallFailure {
    CallFailure {
        status: Status::BrokenConnection,
        reason: reason.to_owned(),
    }
}

#[test]
fn a_call_is_answered_in_full() {
    run(async {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let (address, watch) = http(protocol, |request| async move {
                let authority = request.uri().authority().map(ToString::to_string);
                let host =
                    authority.unwrap_or_else(|| request.headers()["host"].to_str().unwrap().to_owned());
                let line = format!(
                    "{} {host} {:?}",
                    request.uri().path_and_query().unwrap(),
                    request.headers()["x-in"]
                );
                let mut response = answer(line);
                response.headers_mut().append("x-out", "1".parse().unwrap());
                response.headers_mut().append("x-out", "2".parse().unwrap());
                response
            })
            .await;
            let caller = caller(address, protocol);
            for _ in 0..2 {
                let answer = send(&caller, call("origin")).await.unwrap();
                assert_eq!(answer.headers[0], (b":status".to_vec(), b"200".to_vec()));
                let out: Vec<_> = answer
                    .headers
                    .iter()
                    .filter(|(name, _)| name == b"x-out")
                    .cloned()
                    .collect();
                assert_eq!(out, lines(&[("x-out", "1"), ("x-out", "2")]));
                assert_eq!(answer.body, b"/a?b api.test \"1\"");
                assert_eq!(answer.trailers, Pairs::new());
            }
            assert_eq!(watch.accepted(), 1);
        }
    });
}

#[test]
fn bodies_and_trailers_go_both_ways() {
    run(async {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            // Gives back what it gets, trailers included.
            let (address, _) = http(protocol, |request| async move {
                let declared = request.headers().contains_key("content-length");
                let body = request.into_body().collect().await.unwrap();
                let trailers = body.trailers().cloned().unwrap_or_default();
                let mut response = Response::new(
                    full(body.to_bytes())
                        .with_trailers(async { Some(Ok(trailers)) })
                        .boxed_unsync(),
                );
                response
                    .headers_mut()
                    .insert("x-declared", declared.to_string().parse().unwrap());
                // hyper's own way to send trailers over HTTP/1.1.
                response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
                response
                    .headers_mut()
                    .insert("transfer-encoding", "chunked".parse().unwrap());
                response
            })
            .await;
            let mut wanted = call("origin");
            wanted.headers[0].1 = b"POST".to_vec();
            wanted.body = vec![b'x'; 3 << 20];
            let answer = send(&caller(address, protocol), wanted.clone()).await.unwrap();
            assert!(answer.body == wanted.body);
            assert!(
                answer
                    .headers
                    .contains(&(b"x-declared".to_vec(), b"true".to_vec()))
            );
            assert!(
                !answer
                    .headers
                    .iter()
                    .any(|(name, _)| name == b"transfer-encoding")
            );

            wanted.trailers = lines(&[("X-Sum", "9"), ("content-length", "1")]);
            // Without it, hyper's server keeps its trailers to itself.
            wanted.headers.extend(lines(&[("te", "trailers")]));
            let answer = send(&caller(address, protocol), wanted.clone()).await.unwrap();
            assert!(answer.body == wanted.body);
            assert_eq!(answer.trailers, lines(&[("x-sum", "9")]));
        }
    });
}

#[test]
fn a_call_is_an_exact_request_on_the_wire() {
    run(async {
        let seen: Notes<String> = Notes::default();
        let notes = Rc::clone(&seen);
        let (address, _) = serve(move |mut stream| {
            let notes = Rc::clone(&notes);
            async move {
                for end in ["\r\n\r\n", "body", "0\r\n", "0\r\n"] {
                    let mut bytes = read_until(&mut stream, end.as_bytes()).await;
                    if end == "0\r\n" {
                        bytes.extend(read_until(&mut stream, b"\r\n\r\n").await);
                    }
                    notes.borrow_mut().push(String::from_utf8(bytes).unwrap());
                    stream
                        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                        .await
                        .unwrap();
                }
            }
        })
        .await;
        let caller = caller(address, Protocol::Http1);
        let head = |method: &str| {
            let names = [
                (":method", method),
                (":path", "/"),
                (":authority", "api.test"),
                ("connection", "close"),
            ];
            HttpCall {
                headers: lines(&names),
                ..call("origin")
            }
        };
        let get = head("GET");
        let post = HttpCall {
            body: b"body".to_vec(),
            ..head("POST")
        };
        let trailed = HttpCall {
            trailers: lines(&[("x-sum", "1")]),
            ..post.clone()
        };
        let only_trailers = HttpCall {
            body: Vec::new(),
            ..trailed.clone()
        };
        for wanted in [get, post, trailed, only_trailers] {
            assert_eq!(
                send(&caller, wanted).await.unwrap().headers,
                lines(&[(":status", "204")])
            );
        }
        let chunked = "POST / HTTP/1.1\r\nhost: api.test\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(
            *seen.borrow(),
            [
                "GET / HTTP/1.1\r\nhost: api.test\r\n\r\n".to_owned(),
                "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 4\r\n\r\nbody".to_owned(),
                format!("{chunked}4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n"),
                format!("{chunked}0\r\nx-sum: 1\r\n\r\n"),
            ]
        );
    });
}

#[test]
fn failures_have_a_reason() {
    run(async {
        let silent = serve(|mut stream| async move {
            // However the caller leaves.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let (silent, watch) = silent.await;
        let short = Some(Duration::from_millis(30));
        let impatient = HttpCall {
            timeout: short,
            ..call("origin")
        };
        assert_eq!(
            send(&caller(silent, Protocol::Http1), impatient).await,
            Err(broken("timeout"))
        );
        // A call that was given up holds nothing.
        watch.until_closed(1).await;

        let mut limits = CallLimits::default();
        limits.timeout = Duration::from_millis(30);
        for timeout in [None, Some(Duration::ZERO), Some(Duration::from_secs(3600))] {
            let patient = HttpCall {
                timeout,
                ..call("origin")
            };
            let caller = caller_with(silent, Protocol::Http1, limits.clone());
            assert_eq!(send(&caller, patient).await, Err(broken("timeout")));
        }

        let refused = send(&caller(nobody().await, Protocol::Http1), call("origin")).await;
        assert_eq!(refused, Err(broken("connect")));

        let (closing, _) = serve(|mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
        })
        .await;
        assert_eq!(
            send(&caller(closing, Protocol::Http1), call("origin")).await,
            Err(broken("reset"))
        );

        let (cutting, _) = serve(|mut stream| async move {
            read_until(&mut stream, b"\r\n\r\n").await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
                .await
                .unwrap();
        })
        .await;
        assert_eq!(
            send(&caller(cutting, Protocol::Http1), call("origin")).await,
            Err(broken("reset"))
        );
    });
}

#[test]
fn a_response_is_bounded_with_a_length_and_without() {
    run(async {
        let (address, _) = http(Protocol::Http1, |request| async move {
            let body = full(vec![b'x'; 1001]);
            match request.uri().path() {
                "/known" => Response::new(body.boxed_unsync()),
                _ => Response::new(body.with_trailers(async { None }).boxed_unsync()),
            }
        })
        .await;
        for (limit, fits) in [(1000, false), (1001, true)] {
            for path in ["/known", "/unknown"] {
                let mut limits = CallLimits::default();
                limits.response_body = limit;
                let mut wanted = call("origin");
                wanted.headers[1].1 = path.as_bytes().to_vec();
                let outcome = send(&caller_with(address, Protocol::Http1, limits), wanted).await;
                match outcome {
                    Ok(answer) => assert!(fits && answer.body.len() == 1001),
                    Err(failure) => {
                        assert!(!fits);
                        assert_eq!(failure.status, Status::InternalFailure);
                        assert_eq!(failure.reason, "response too large");
                    }
                }
            }
        }
    });
}

#[test]
fn an_answer_that_finds_no_room_is_a_failure() {
    run(async {
        let (address, _) = http(Protocol::Http1, |_| async { answer("x".repeat(100_000)) }).await;
        let caller = caller(address, Protocol::Http1);
        let failure = send_within(&caller, call("origin"), 90_000).await.unwrap_err();
        assert_eq!(
            (failure.status, failure.reason.as_str()),
            (Status::InternalFailure, NO_ROOM)
        );
        assert_eq!(
            send_within(&caller, call("origin"), 110_000)
                .await
                .unwrap()
                .body
                .len(),
            100_000
        );
    });
}

#[test]
fn a_call_that_is_given_up_counts_until_its_request_is_gone() {
    run(async {
        let (address, _) = serve(|mut stream| async move {
            // Reads the head and leaves the body where it is.
            read_until(&mut stream, b"\r\n\r\n").await;
            std::future::pending::<()>().await;
        })
        .await;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let caller = caller(address, protocol);
            let account = Account::new(64 << 20, &Ceiling::default());
            let calls = Calls::default();
            let ticket = calls.begin(&account, account.charge(32 << 20).unwrap());
            let mut wanted = call("origin");
            wanted.headers[0].1 = b"POST".to_vec();
            wanted.body = vec![b'x'; 32 << 20];
            let task = tokio::task::spawn_local(caller.call(wanted, ticket));
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!((calls.in_flight(), account.held()), (1, 32 << 20));
            task.abort();
            for _ in 0..1_000 {
                if calls.in_flight() == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!((calls.in_flight(), account.held()), (0, 0), "{protocol:?}");
        }
    });
}

#[test]
fn destinations_off_the_list_are_refused_before_the_call() {
    run(async {
        let (address, _) = http(Protocol::Http1, |_| async { answer("ok") }).await;
        let caller = caller(address, Protocol::Http1);
        assert_eq!(send(&caller, call("origin")).await.unwrap().body, b"ok");

        let account = Account::new(1000, &Ceiling::default());
        let refused = |wanted: HttpCall| caller.prepare(wanted, ticket(&account)).map(drop).unwrap_err();
        for name in ["", "Origin", "origin:80", &address.to_string()] {
            let failure = refused(call(name));
            assert_eq!(failure.status, Status::BadArgument);
            assert_eq!(failure.reason, format!("unknown upstream `{name}`"));
        }
        assert_eq!(
            refused(HttpCall {
                upstream: b"\xff".to_vec(),
                ..call("")
            })
            .reason,
            "unknown upstream `\\xff`"
        );
        let mut headless = call("origin");
        headless.headers.remove(1);
        assert_eq!(refused(headless).reason, "missing :path");
        let bad_trailer = HttpCall {
            trailers: lines(&[("a b", "")]),
            ..call("origin")
        };
        assert_eq!(refused(bad_trailer).status, Status::BadArgument);
    });
}

#[test]
fn an_idempotent_call_survives_a_connection_closed_under_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (close, to_close) = std::sync::mpsc::channel::<()>();
    let (has_closed, closed) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            assert!(std::io::Read::read(&mut stream, &mut request).unwrap() > 0);
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            to_close.recv().unwrap();
            drop(stream);
            has_closed.send(()).unwrap();
        }
    });
    let stop_and_close = || {
        close.send(()).unwrap();
        closed.recv().unwrap();
    };
    run(async {
        let caller = caller(address, Protocol::Http1);
        let put = HttpCall {
            body: b"body".to_vec(),
            ..call("origin")
        };
        let mut post = put.clone();
        post.headers[0].1 = b"POST".to_vec();
        // The connection comes back to the pool as soon as the answer is read: give its task a turn.
        let settle = || async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        };
        send(&caller, put.clone()).await.unwrap();
        settle().await;
        stop_and_close();
        send(&caller, put).await.unwrap();
        settle().await;
        stop_and_close();
        // A request that may do its work twice is not tried again.
        assert_eq!(send(&caller, post.clone()).await, Err(broken("reset")));
        send(&caller, post).await.unwrap();
        stop_and_close();
    });
    server.join().unwrap();
}
