//! After a 101 the bytes of both sides go past the filters, until both have had their say.

use std::rc::Rc;

use http::Response;
use http::header::{self, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use weir_http_rules::flags;

use crate::exchange::Exchange;
use crate::stream::SharedState;

/// Puts back into the head of a 101 what belongs to the connection.
pub(crate) fn head(mut head: Response<()>, state: &SharedState) -> Response<()> {
    let fields = head.headers_mut();
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = &state.borrow().messages.facts.switched_to {
        fields.insert(header::UPGRADE, protocol.clone());
    }
    fields.remove(header::CONTENT_LENGTH);
    head
}

/// Carries bytes both ways. The exchange lasts as long.
pub(crate) fn tunnel(mut exchange: Exchange, client: OnUpgrade, upstream: OnUpgrade) {
    let drain = exchange.connection.worker.drained();
    let limit = exchange.revision.plan.timeouts.tunnel_idle;
    let connection = Rc::clone(&exchange.connection);
    // All that a tunnel carries passes the client's connection.
    let idle = async move {
        loop {
            let still = connection.still_for();
            if still >= limit {
                return;
            }
            tokio::time::sleep(limit - still).await;
        }
    };
    tokio::task::spawn_local(async move {
        let carry = async {
            let (client, upstream) = (client.await?, upstream.await?);
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            let carried = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            Ok::<_, hyper::Error>(carried)
        };
        tokio::select! {
            outcome = carry => {
                let mut state = exchange.state.borrow_mut();
                if let Ok(Ok((up, down))) = outcome {
                    state.messages.facts.request_body += up;
                    state.messages.facts.response_body += down;
                }
                drop(state);
                // However it ended: who speaks another protocol has other ways to end than HTTP's.
                exchange.completed();
            }
            () = idle => {
                exchange.connection.worker.shared.meters().stream_deadlines.increment();
                let mut state = exchange.state.borrow_mut();
                state.messages.facts.flags |= flags::STREAM_IDLE_TIMEOUT;
                state.reset_with("tunnel_idle_timeout");
            }
            () = drain => exchange.state.borrow_mut().reset_with("proxy_shutdown"),
        }
    });
}
