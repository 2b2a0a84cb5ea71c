//! Filters in a plain hyper server: how a proxy embeds Weir.
//!
//! Read this file first if you want Proxy-Wasm filters in a server of your own. A server does three things:
//!
//! 1. [`Filters::load`] turns filter documents into VMs that live, and does so again at a reload. The planner compiles and
//!    tries the modules, the fleet starts the VMs, and the supervisor cares for them from then on: it restarts VMs that die,
//!    and delivers ticks, queue wake-ups and results of calls.
//! 2. [`Filters::run`] runs the supervisor beside the server, on the thread that enters the VMs.
//! 3. [`exchange`] passes a request through a [`Chain`] of filters, has the application answer, and passes the response back
//!    through the same filters in reverse.
//!
//! This server has one thread and collects bodies before it shows them to filters. `weir-proxy` is the same with many workers
//! and with bodies that stream: it polls a [`Pump`](weir_chain::Pump), as [`OpenStream::pass_whole`] does,
//! from its bodies (`bodies.rs`).
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use weir_abi::LogLevel;
use weir_chain::{Chain, ChainFilter, Direction, OpenStream};
use weir_config::{Environment, FilterConfig, Ticks};
use weir_host::{ForeignFunctions, Shared};
use weir_plan::{Planner, Runtimes};
use weir_supervisor::{Fleet, Mail, OnFailure, Supervisor, SupervisorTask, VmThread, VmThreads};

/// Most bytes of a request's body, which the server holds whole in memory. Longer ones are answered with 413.
const MAX_BODY: usize = 1 << 20;

/// The filters of a server. Shared between the server's thread and the thread that reloads.
pub struct Filters {
    loader: Mutex<Loader>,
    /// What requests are served with; a reload replaces it.
    serving: Mutex<Arc<[ChainFilter]>>,
    /// Shared data, queues, metrics, meters and foreign functions of all VMs of the process.
    shared: Shared,
}

struct Loader {
    planner: Planner,
    /// The one thread that enters VMs, so that each VM of a plan has one slot.
    threads: [VmThread; 1],
    fleet: Fleet,
}

impl Filters {
    /// Makes a server's filters, none so far, and the supervisor's task for [`Filters::run`].
    pub fn new(runtimes: Runtimes) -> (Arc<Self>, SupervisorTask) {
        let shared = Shared::new(ForeignFunctions::default());
        let (supervisor, task) = Supervisor::new(shared.clone(), || LogLevel::Trace);
        let loader = Loader {
            planner: Planner::new(runtimes, shared.clone()),
            threads: [VmThread { supervisor, index: 0 }],
            fleet: Fleet::default(),
        };
        let filters = Self {
            loader: Mutex::new(loader),
            serving: Mutex::new(Arc::new([])),
            shared,
        };
        (Arc::new(filters), task)
    }

    /// Loads filter documents, in the order in which requests pass them; the first call starts, each further one reloads.
    /// Blocks while modules compile and guests start, so call it on a thread of its own.
    ///
    /// # Errors
    ///
    /// A document, a module or a VM is not usable. What was served before stays.
    pub fn load(&self, documents: &[PathBuf]) -> anyhow::Result<()> {
        let load = |path: &PathBuf| FilterConfig::load(path, &Environment::process()).map(Arc::new);
        let configs = documents.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        let Loader {
            planner,
            threads,
            fleet,
        } = &mut *lock(&self.loader);
        let planned = planner.plan(&configs, &[], LogLevel::Info)?;
        if let Some(refusal) = planned.refused.first() {
            bail!("{refusal}");
        }
        let next = fleet.next(&planned.vms, threads, Ticks::EveryVm, OnFailure::Keep);
        let next = next.map_err(|errors| anyhow!("VMs do not start: {errors:?}"))?;
        let member = |config: &Arc<FilterConfig>| {
            let (vm, plugin) = planned.position(config)?;
            let slot = (Arc::clone(next.slot(vm, 0)?), plugin);
            Some(ChainFilter::new(
                Some(slot),
                config.fail_policy,
                config.body_limit as usize,
            ))
        };
        let filters = configs.iter().map(member).collect::<Option<_>>();
        // Requests under way keep their chains, and so the VMs that they began in.
        *lock(&self.serving) = filters.context("every filter that is not refused has a slot")?;
        fleet.replace(next);
        Ok(())
    }

    /// Serves connections with an application behind the filters. Runs in a tokio `LocalSet`, for ever.
    pub async fn run(
        self: Arc<Self>,
        task: SupervisorTask,
        listener: TcpListener,
        application: fn(Request<Bytes>) -> Response<Bytes>,
    ) -> anyhow::Result<()> {
        tokio::task::spawn_local(task.run(OneThread));
        loop {
            let (socket, _) = listener.accept().await?;
            let filters = Arc::clone(&self);
            let service = service_fn(move |request| exchange(Arc::clone(&filters), request, application));
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service);
            tokio::task::spawn_local(connection);
        }
    }

    /// The chain of a request that begins now.
    fn chain(&self) -> Arc<Chain> {
        let filters = lock(&self.serving);
        Chain::new(&filters, 0..filters.len())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one thread that enters VMs. The supervisor runs on it, so that events can be delivered at once.
struct OneThread;

impl VmThreads for OneThread {
    fn post(&self, _: usize, mail: Mail) {
        mail.deliver();
    }

    /// Of interest for `ticks: one_vm` on more than one thread.
    fn has_waiting(&self, _: usize) -> bool {
        false
    }
}

/// Answers one request: through the filters, the application, and back through the filters.
async fn exchange(
    filters: Arc<Filters>,
    request: Request<Incoming>,
    application: fn(Request<Bytes>) -> Response<Bytes>,
) -> anyhow::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let mut refused = Response::default();
            *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(refused);
        }
        Err(error) => bail!("the client broke off: {error}"),
    };
    // `()`: this server knows nothing of a request beyond its messages. A proxy that answers properties such as
    // `source.address` has a type here that implements [`Facts`](weir_chain::Facts).
    let meters = filters.shared.meters();
    // Dropped, it ends the filters' stream contexts: at the end of this function, or where the client leaves before.
    let stream = OpenStream::receive(filters.chain(), parts, Scheme::HTTP, (), meters);
    // A message stops where a filter answers by itself, or has died and its fail policy is closed: the reply is in the state.
    let body = match stream.pass_whole(Direction::Request, body).await {
        Ok(body) => stream.respond(application(stream.request(body))),
        Err(_) => stream.take_reply().context("the stream was reset")?,
    };
    let body = match stream.pass_whole(Direction::Response, body).await {
        Ok(body) => body,
        // The reply to a response goes out as it is.
        Err(_) => stream.take_reply().context("the stream was reset")?,
    };
    Ok(stream.response(body).context("no response")?.map(Full::new))
}
