//! The thread `weir`: it supervises the VMs of all net threads, and sends wake-ups that could not be sent at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use weir_host::Shared;
use weir_supervisor::{Mail, Supervisor, SupervisorTask, VmThreads};

use crate::net_thread;
use crate::txn::wake::Wakeup;

/// The pause before a wake-up is sent again, because another thread works on the transaction.
const WAKE_PAUSE: Duration = Duration::from_millis(1);

/// The way to the thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hub(UnboundedSender<Command>);

/// A command to the thread, beside those that VMs send to their supervisor. The channel has no bound of its own and needs
/// none: a transaction has at most one entry, from a wake-up that finds the transaction's mutex taken until the event has
/// been sent ([`weir_supervisor::Wakeup::send`]).
pub(crate) enum Command {
    /// A transaction is to be woken that another thread is working on.
    Wake(Arc<Wakeup>),
}

/// The net threads, as the supervisor of their VMs knows them.
struct NetThreads;

impl VmThreads for NetThreads {
    fn post(&self, thread: usize, mail: Mail) {
        if let Some(thread) = net_thread::every().get(thread) {
            thread.post(mail);
        }
    }

    fn has_waiting(&self, thread: usize) -> bool {
        net_thread::every()
            .get(thread)
            .is_some_and(|thread| thread.has_waiting())
    }
}

impl Hub {
    /// Starts the thread, with a supervisor for the VMs of all net threads.
    pub fn start(shared: Shared) -> std::io::Result<(Self, Supervisor)> {
        let (sender, commands) = unbounded_channel();
        let (supervisor, vms) = Supervisor::new(shared, crate::log::log_level);
        std::thread::Builder::new()
            .name("weir".to_owned())
            .spawn(move || run(commands, vms))?;
        Ok((Self(sender), supervisor))
    }

    /// Sends a command. The thread lives as long as the process; should it have died, so has all that it waited for.
    pub fn send(&self, command: Command) {
        let _ = self.0.send(command);
    }
}

fn run(mut commands: UnboundedReceiver<Command>, vms: SupervisorTask) {
    // SAFETY: makes this thread one that may leave events for the server's threads; nothing else is asked of it.
    unsafe { weir_ats_sys::TSThreadInit() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("weir-start")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("HTTP calls and ticks of filters will not work: {error}");
            return;
        }
    };
    LocalSet::new().block_on(&runtime, async {
        tokio::task::spawn_local(vms.run(NetThreads));
        while let Some(command) = commands.recv().await {
            // A bug that shows in one command must not end all others.
            crate::guard::catch(|| take(command));
        }
    });
}

fn take(command: Command) {
    match command {
        Command::Wake(wakeup) => {
            tokio::task::spawn_local(async move {
                while !wakeup.retry() {
                    tokio::time::sleep(WAKE_PAUSE).await;
                }
            });
        }
    }
}
