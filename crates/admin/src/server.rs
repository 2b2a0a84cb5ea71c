//! The server of the admin pages.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::LocalSet;
use weir_host::Shared;

use crate::page::{self, MAX_PAGE};
use crate::readiness::Readiness;
use crate::{accept, writer::Format};

/// Connections that are served at a time; others wait to be accepted.
const MAX_CONNECTIONS: usize = 16;

/// The longest that a client may take to send the head of a request, and that an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest that a connection is kept. A client that does not read its page would keep others out.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Kibibytes of pages that clients have not read yet, all connections together. Whoever asks for a page beyond it gets
/// it, and the connections that have not read theirs for the longest time are closed.
const UNREAD_KIB: usize = 2 * MAX_PAGE / 1024;

/// The paths that there are.
const PAGES: &str = "/metrics  metrics for Prometheus\n/healthz  200 while the process runs\n/readyz   200 once filters run\n";

/// Serves the admin pages on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The sources of pages.
struct Pages {
    shared: Shared,
    readiness: Readiness,
    /// One page is rendered at a time.
    rendering: Semaphore,
    /// Permits for kibibytes of pages.
    room: Arc<Semaphore>,
    /// Pages that clients have not read yet, oldest first.
    unread: RefCell<VecDeque<Holder>>,
}

/// A connection with a page that its client has not read yet.
struct Holder {
    kib: u32,
    /// Gone once the page has been sent.
    page: Weak<()>,
    /// Closes the connection.
    close: Rc<Notify>,
}

impl AdminServer {
    /// Starts to serve on `listener`, and has the times of callbacks measured from now on. Called before VMs are started,
    /// so that `/readyz` answers while they are.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no runtime on it.
    pub fn start(listener: std::net::TcpListener, shared: Shared, readiness: Readiness) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("weir-metrics")
            .max_blocking_threads(1)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("weir-admin".to_owned())
            .spawn(move || {
                shared.meters().time_callbacks();
                let pages = Rc::new(Pages {
                    shared,
                    readiness,
                    rendering: Semaphore::new(1),
                    room: Arc::new(Semaphore::new(UNREAD_KIB)),
                    unread: RefCell::default(),
                });
                LocalSet::new().block_on(&runtime, async {
                    tokio::select! {
                        () = serve(listener, pages) => {}
                        // The sender is dropped where the server is.
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The address that is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the admin pages panicked");
        }
    }
}

async fn serve(listener: std::net::TcpListener, pages: Rc<Pages>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the admin pages cannot be served: {error}");
            return;
        }
    };
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let pages = Rc::clone(&pages);
                tokio::task::spawn_local(async move {
                    serve_connection(stream, &pages).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the admin pages' listener could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, pages: &Pages) {
    let close = Rc::new(Notify::new());
    let service = service_fn(|request| {
        let close = Rc::clone(&close);
        async move { Ok::<_, Infallible>(pages.respond(&request, &close).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        outcome = tokio::time::timeout(CONNECTION_TIMEOUT, serving) => {
            if let Ok(Err(error)) = outcome {
                tracing::debug!(%error, "a connection to the admin pages broke");
            }
        }
        () = close.notified() => {
            tracing::debug!("closed a connection to the admin pages that does not read its page");
        }
    }
}

impl Pages {
    async fn respond<B>(&self, request: &Request<B>, close: &Rc<Notify>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            return plain(
                StatusCode::NOT_FOUND,
                format!("not found; the pages are\n{PAGES}"),
            );
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, String::new());
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/healthz" => plain(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.readiness.check(self.shared.meters()) {
                Ok(()) => plain(StatusCode::OK, "ready\n".to_owned()),
                Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
            },
            _ => self.metrics(accept::format(request.headers()), close).await,
        }
    }

    async fn metrics(&self, format: Format, close: &Rc<Notify>) -> Response<Full<Bytes>> {
        let rendered = {
            let _one = self.rendering.acquire().await;
            let shared = self.shared.clone();
            tokio::task::spawn_blocking(move || page::render(&shared, format)).await
        };
        let Ok(text) = rendered else {
            return plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be rendered\n".to_owned(),
            );
        };
        let kib = u32::try_from(text.len() / 1024 + 1).unwrap_or(u32::MAX);
        self.make_room(kib);
        let Ok(permit) = Arc::clone(&self.room).acquire_many_owned(kib).await else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, String::new());
        };
        let page = Arc::new(());
        self.unread.borrow_mut().push_back(Holder {
            kib,
            page: Arc::downgrade(&page),
            close: Rc::clone(close),
        });
        let body = Bytes::from_owner(Unread {
            text,
            _page: page,
            _permit: permit,
        });
        respond_with(StatusCode::OK, format.content_type(), body)
    }

    /// Closes the oldest connections that have not read their pages, until there will be room for another page.
    fn make_room(&self, kib: u32) {
        let mut unread = self.unread.borrow_mut();
        unread.retain(|holder| holder.page.strong_count() > 0);
        let mut room = self.room.available_permits();
        while room < kib as usize
            && let Some(oldest) = unread.pop_front()
        {
            oldest.close.notify_one();
            room += oldest.kib as usize;
        }
    }
}

/// A page that counts against the bound of pages until its last byte has been sent.
struct Unread {
    text: String,
    _page: Arc<()>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Unread {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    respond_with(status, "text/plain; charset=utf-8", text.into())
}

fn respond_with(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
