//! gRPC hostcalls answer with statuses that SDKs expect of them, whether the proxy has a transport for gRPC or not.
//!
//! covers: proxy_grpc_call proxy_grpc_stream proxy_grpc_send proxy_grpc_cancel proxy_grpc_close
//!
//! request: GET /
//! status: 200
//! body: call to nobody: a status that SDKs expect
//! body: stream to nobody: a status that SDKs expect
//! body: call to an upstream: a status that SDKs expect
//! body: stream to an upstream: a status that SDKs expect
//! body: send to no stream: a status that SDKs expect
//! body: cancel of no call: NotFound
//! body: close of no stream: NotFound

use conformance::*;

fn expected(answer: &Answer, expected: &[&str]) -> String {
    let name = status_name(answer.status);
    if expected.contains(&name) {
        "a status that SDKs expect".to_owned()
    } else {
        name.to_owned()
    }
}

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        let call = grpc_call("nobody", "echo.Echo", "Say", "hello", 1000);
        say!("call to nobody: {}", expected(&call, &["ParseFailure", "InternalFailure"]));
        let stream = grpc_stream("nobody", "echo.Echo", "Say");
        say!("stream to nobody: {}", expected(&stream, &["ParseFailure", "InternalFailure"]));
        let call = grpc_call("origin", "echo.Echo", "Say", "hello", 1000);
        let known = ["Ok", "ParseFailure", "InternalFailure"];
        say!("call to an upstream: {}", expected(&call, &known));
        let stream = grpc_stream("origin", "echo.Echo", "Say");
        say!("stream to an upstream: {}", expected(&stream, &known));
        let send = grpc_send(4711, "hello", true);
        say!("send to no stream: {}", expected(&send, &["BadArgument", "NotFound"]));
        say!("cancel of no call: {}", grpc_cancel(4711));
        say!("close of no stream: {}", grpc_close(4711));
        reply()
    }
}
