//! What is loaded: the documents of each instance, the VMs that they need on each net thread, and the chains made of both.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use weir_abi::LogLevel;
use weir_config::{ConfigError, Environment, FilterConfig, Ticks};
use weir_meters::Meters;
use weir_plan::{FileStamp, Planned, Planner, Runtimes};
use weir_supervisor::{Fleet, OnFailure, Supervisor, VmThread};

use crate::net_thread::NetThread;
use crate::plugin::GLOBAL;
use crate::thread_chain::{ThreadChain, ThreadFilter};

/// Loads and reloads.
pub(crate) struct Control {
    planner: Planner,
    meters: Meters,
    threads: &'static [&'static NetThread],
    /// The same threads, as their VMs know them.
    vm_threads: Vec<VmThread>,
    folder: PathBuf,
    /// The level of filters that name none.
    log_level: LogLevel,
    /// By number. The first is that of `plugin.config`; remap rules with the same files share one.
    instances: Vec<Instance>,
    /// The VMs that serve.
    fleet: Fleet,
    /// The files that have been read, as they were then.
    stamps: HashMap<PathBuf, FileStamp>,
    /// Watched files of the reload that failed last: one of them may be what has to change next.
    tried: Vec<PathBuf>,
    /// Between the beginning and the end of `remap.config`: its rules are loaded together at the end.
    in_remap: bool,
    /// Instances have come or gone since VMs were last planned.
    changed: bool,
    /// `remap.config` has been read once: the server is past its start.
    serves: bool,
    /// Refusals that have been logged and still hold.
    reported: HashSet<String>,
}

/// The documents of `plugin.config`, or of remap rules.
#[derive(Default)]
struct Instance {
    files: Vec<PathBuf>,
    /// What they say, in the order of the files; a document that could not be read has a stand-in, which is refused.
    filters: Vec<Arc<FilterConfig>>,
    /// Rules that use it.
    users: usize,
}

/// Nothing has been changed; what is wrong has been logged.
pub(crate) struct Kept;

impl Control {
    /// Nothing is loaded so far.
    pub fn new(
        runtimes: Runtimes,
        supervisor: &Supervisor,
        threads: &'static [&'static NetThread],
        folder: PathBuf,
    ) -> Self {
        let thread = |thread: &&NetThread| VmThread {
            supervisor: supervisor.clone(),
            index: thread.index,
        };
        Self {
            planner: Planner::new(runtimes, supervisor.shared().clone()),
            meters: supervisor.shared().meters().clone(),
            vm_threads: threads.iter().map(thread).collect(),
            threads,
            folder,
            log_level: LogLevel::Info,
            instances: vec![Instance::default()],
            fleet: Fleet::default(),
            stamps: HashMap::new(),
            tried: Vec::new(),
            in_remap: false,
            changed: false,
            serves: false,
            reported: HashSet::new(),
        }
    }

    /// Sets the level of filters that name none, for what is loaded from now on.
    pub fn set_log_level(&mut self, log_level: LogLevel) {
        self.log_level = log_level;
    }

    /// Adds documents to an instance. What is wrong with one is logged, and its traffic gets its fail policy.
    pub fn add_files(&mut self, instance: usize, files: &[PathBuf]) {
        let files: Vec<PathBuf> = files.iter().map(|file| self.absolute(file)).collect();
        let mut filters = Vec::new();
        for file in &files {
            let filter = self.read(file).unwrap_or_else(|_| self.stand_in(file));
            if let Some(Ok(line)) = filter
                .open_by_default()
                .map(|line| CString::new(format!("[wasm] {line}")))
            {
                // Whoever set it up should see it, debug output or not.
                weir_ats_sys::TSNote(&line);
            }
            filters.push(filter);
        }
        if let Some(instance) = self.instances.get_mut(instance) {
            instance.files.extend(files);
            instance.filters.extend(filters);
            self.changed = true;
        }
    }

    /// Makes the instance of a remap rule, or finds the one with the same documents. A document that is wrong fails the
    /// rule while the server runs, so that its old rules stay; at start the rule is served without the filter.
    pub fn new_instance(&mut self, files: &[PathBuf]) -> Result<usize, String> {
        let files: Vec<PathBuf> = files.iter().map(|file| self.absolute(file)).collect();
        let known = self
            .instances
            .iter()
            .skip(GLOBAL + 1)
            .position(|instance| instance.users > 0 && instance.files == files)
            .map(|place| place + GLOBAL + 1);
        if let Some(number) = known {
            self.instances[number].users += 1;
            return Ok(number);
        }
        if self.serves || is_verifying() {
            for file in &files {
                self.read(file).map_err(|error| first_line(&error))?;
            }
        }
        let number = self
            .instances
            .iter()
            .skip(GLOBAL + 1)
            .position(|instance| instance.users == 0)
            .map_or(self.instances.len(), |place| place + GLOBAL + 1);
        if number == self.instances.len() {
            self.instances.push(Instance::default());
        }
        self.instances[number] = Instance {
            users: 1,
            ..Instance::default()
        };
        self.add_files(number, &files);
        if !self.in_remap {
            self.apply_at_start();
        }
        Ok(number)
    }

    /// A remap rule has no use for its instance any more. Transactions that have begun keep their chains.
    pub fn drop_instance(&mut self, number: usize) {
        if number == GLOBAL {
            return;
        }
        if let Some(instance) = self.instances.get_mut(number) {
            instance.users = instance.users.saturating_sub(1);
            if instance.users == 0 {
                *instance = Instance::default();
                self.changed = true;
            }
        }
    }

    /// `remap.config` is about to be read.
    pub fn begin_remap(&mut self) {
        self.in_remap = true;
    }

    /// `remap.config` has been read.
    pub fn end_remap(&mut self) {
        self.in_remap = false;
        self.apply_at_start();
        self.serves = true;
    }

    /// Serves what has been added, without what is refused.
    pub fn apply_at_start(&mut self) {
        if self.changed {
            // What was refused has been logged.
            let _ = self.apply(None, OnFailure::Retry);
        }
    }

    /// Reads all documents again and serves from them. What is wrong is logged, and then everything stays as it is.
    pub fn reload(&mut self) -> Result<(), Kept> {
        let mut wrong = false;
        let mut read: Vec<Vec<Arc<FilterConfig>>> = Vec::new();
        let mut tried = Vec::new();
        let instances: Vec<Vec<PathBuf>> = self
            .instances
            .iter()
            .map(|instance| instance.files.clone())
            .collect();
        let loaded = self.instances.iter().flat_map(|instance| &instance.filters);
        let watched: HashSet<PathBuf> = loaded
            .filter(|filter| filter.watch)
            .map(|filter| filter.source.clone())
            .collect();
        for files in instances {
            let mut filters = Vec::new();
            for file in files {
                match self.read(&file) {
                    Ok(filter) => {
                        if filter.watch {
                            tried.extend(filter.files());
                        }
                        filters.push(filter);
                    }
                    Err(error) => {
                        if watched.contains(&file) {
                            tried.extend_from_slice(error.files());
                        }
                        wrong = true;
                    }
                }
            }
            read.push(filters);
        }
        let applied = match wrong {
            false => self.apply(Some(read), OnFailure::Keep),
            true => Err(Kept),
        };
        self.tried = if applied.is_err() { tried } else { Vec::new() };
        applied
    }

    /// The files that what is loaded was read from, as they were then, where somebody wants them watched.
    pub fn watched_files(&self) -> Vec<(PathBuf, FileStamp)> {
        let filters = self.instances.iter().flat_map(|instance| &instance.filters);
        let mut files: Vec<PathBuf> = filters
            .filter(|filter| filter.watch)
            .flat_map(|filter| filter.files())
            .chain(self.tried.iter().cloned())
            .collect();
        files.sort_unstable();
        files.dedup();
        let stamp = |file: PathBuf| {
            let stamp = self.stamps.get(&file).copied();
            let stamp = stamp.unwrap_or_else(|| FileStamp::of(&file));
            (file, stamp)
        };
        files.into_iter().map(stamp).collect()
    }

    /// Plans the VMs of all instances, starts those that do not run yet, and has the net threads serve from them.
    fn apply(
        &mut self,
        read: Option<Vec<Vec<Arc<FilterConfig>>>>,
        on_failure: OnFailure,
    ) -> Result<(), Kept> {
        let filters: Vec<Vec<Arc<FilterConfig>>> = match read {
            Some(read) => read,
            None => self
                .instances
                .iter()
                .map(|instance| instance.filters.clone())
                .collect(),
        };
        let namesakes = namesakes(&filters);
        for (filter, other) in &namesakes {
            tracing::error!(
                "{}: config.name: the name {:?} is taken by {}; give each filter document a name of its own",
                filter.source.display(),
                filter.name,
                other.display(),
            );
        }
        if on_failure == OnFailure::Keep && !namesakes.is_empty() {
            return Err(Kept);
        }
        // One that is refused keeps its place in the chain: its streams get its fail policy.
        let is_namesake = |filter: &Arc<FilterConfig>| {
            namesakes
                .iter()
                .any(|(namesake, _)| Arc::ptr_eq(namesake, filter))
        };
        let mut serving: Vec<Arc<FilterConfig>> = filters.iter().flatten().cloned().collect();
        serving.retain(|filter| !(is_namesake(filter) || filter.is_stand_in()));
        let planned = self.plan(&mut serving, on_failure)?;
        if on_failure == OnFailure::Keep {
            self.reported.clear();
        }
        for refusal in &planned.refused {
            let text = refusal.to_string();
            if !self.reported.contains(&text) {
                tracing::error!("{text}");
                self.reported.insert(text);
            }
        }
        if on_failure == OnFailure::Keep && !planned.refused.is_empty() {
            return Err(Kept);
        }
        let fleet = self
            .fleet
            .next(&planned.vms, &self.vm_threads, Ticks::OneVm, on_failure)
            .map_err(|errors| {
                errors.iter().for_each(|error| tracing::error!("{error}"));
                Kept
            })?;
        for (thread, index) in self.threads.iter().zip(0..) {
            let chains = filters
                .iter()
                .map(|filters| Some(Arc::new(chain(filters, &planned, &fleet, index))))
                .collect();
            thread.install(chains);
        }
        for (instance, filters) in self.instances.iter_mut().zip(filters) {
            instance.filters = filters;
        }
        self.fleet.replace(fleet);
        self.changed = false;
        Ok(())
    }

    /// Plans the VMs of filters. One that cannot even be planned is left out where the rest is to be served.
    fn plan(&mut self, serving: &mut Vec<Arc<FilterConfig>>, on_failure: OnFailure) -> Result<Planned, Kept> {
        let error = match self.planner.plan(serving, &[], self.log_level) {
            Ok(planned) => return Ok(planned),
            Err(error) => error,
        };
        if on_failure == OnFailure::Keep {
            tracing::error!("{error}");
            return Err(Kept);
        }
        serving.retain(|filter| {
            match self
                .planner
                .plan(std::slice::from_ref(filter), &[], self.log_level)
            {
                Ok(_) => true,
                Err(error) => {
                    tracing::error!("{}: {error}", filter.source.display());
                    false
                }
            }
        });
        self.planner.plan(serving, &[], self.log_level).map_err(|error| {
            tracing::error!("{error}");
            Kept
        })
    }

    /// Reads a document. What is wrong with it is logged.
    fn read(&mut self, file: &Path) -> Result<Arc<FilterConfig>, ConfigError> {
        self.stamps.insert(file.to_owned(), FileStamp::of(file));
        let runtimes = self.planner.runtimes();
        let loaded = FilterConfig::load(file, &self.environment()).and_then(|filter| {
            filter.check_runtime(&runtimes)?;
            Ok(filter)
        });
        match loaded {
            Ok(filter) => {
                // What the document names is read later.
                for other in filter.files() {
                    if other != file {
                        let stamp = FileStamp::of(&other);
                        self.stamps.insert(other, stamp);
                    }
                }
                Ok(Arc::new(filter))
            }
            Err(error) => {
                for other in error.files().iter().filter(|other| *other != file) {
                    self.stamps.insert(other.clone(), FileStamp::of(other));
                }
                let text = error.to_string();
                text.lines().for_each(|line| tracing::error!("{line}"));
                Err(error)
            }
        }
    }

    fn stand_in(&self, file: &Path) -> Arc<FilterConfig> {
        Arc::new(FilterConfig::stand_in(file, &self.environment()))
    }

    fn environment(&self) -> Environment {
        Environment::process()
            .with_folder(&self.folder)
            .with_capabilities(weir_plan::capability_names())
    }

    /// The absolute name of a file; a relative one begins at the server's configuration folder.
    pub fn absolute(&self, file: &Path) -> PathBuf {
        self.folder.join(file)
    }
}

/// The chain of an instance on one net thread.
fn chain(filters: &[Arc<FilterConfig>], planned: &Planned, fleet: &Fleet, thread: usize) -> ThreadChain {
    let filter = |config: &Arc<FilterConfig>| {
        let position = planned.position(config);
        let slot = position.and_then(|(vm, plugin)| Some((Arc::clone(fleet.slot(vm, thread)?), plugin)));
        let plan = position.and_then(|(vm, _)| fleet.plan(vm));
        let replies = plan.is_some_and(|plan| {
            let info = plan.spec.module.info();
            const REPLY: &str = "proxy_send_local_response";
            let allowed = config.vm.allowed_capabilities.as_ref();
            info.has_import(REPLY) && allowed.is_none_or(|allowed| allowed.iter().any(|name| name == REPLY))
        });
        ThreadFilter {
            config: Arc::clone(config),
            slot,
            replies,
        }
    };
    ThreadChain::new(filters.iter().map(filter).collect())
}

/// Whether the process only checks its configuration: `traffic_server -C verify_config`. No function of the server tells.
fn is_verifying() -> bool {
    static VERIFIES: OnceLock<bool> = OnceLock::new();
    *VERIFIES.get_or_init(|| {
        let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        verifies(line.split(|byte| *byte == 0))
    })
}

/// Whether a command line asks for `verify_config`, in any of the ways in which the server takes it.
fn verifies<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut is_command = false;
    for argument in arguments {
        let command = argument
            .strip_prefix(b"--command=")
            .or_else(|| argument.strip_prefix(b"-C"))
            .or(is_command.then_some(argument));
        if command.is_some_and(|command| command.starts_with(b"verify_config")) {
            return true;
        }
        is_command = argument == b"-C" || argument == b"--command";
    }
    false
}

/// The first problem of a document, for the server's own messages.
fn first_line(error: &ConfigError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Filters whose name another document has already, with that document. One document may serve in several places.
fn namesakes(instances: &[Vec<Arc<FilterConfig>>]) -> Vec<(Arc<FilterConfig>, PathBuf)> {
    let mut names: HashMap<&str, &PathBuf> = HashMap::new();
    let mut namesakes = Vec::new();
    for filter in instances.iter().flatten().filter(|filter| !filter.is_stand_in()) {
        let first = *names.entry(filter.name.as_str()).or_insert(&filter.source);
        if *first != filter.source {
            namesakes.push((Arc::clone(filter), first.clone()));
        }
    }
    namesakes
}

impl Control {
    /// Frees what no rule uses any more.
    pub fn tidy(&mut self) {
        if !self.in_remap {
            self.apply_at_start();
        }
    }

    /// Reloads, and counts and logs the outcome.
    pub fn reload_and_report(&mut self) -> Result<(), Kept> {
        let reloaded = self.reload();
        match &reloaded {
            Ok(()) => {
                self.meters.reloads.increment();
                // Whoever asked for it looks into the log, debug output or not.
                weir_ats_sys::TSNote(c"[wasm] filters reloaded");
            }
            Err(Kept) => {
                self.meters.reload_failures.increment();
                tracing::error!("reload failed, keeping the running filters");
            }
        }
        reloaded
    }
}

#[cfg(test)]
mod tests {
    use super::verifies;

    #[test]
    fn a_server_that_verifies_is_known_by_its_command_line() {
        let verifies = |line: &str| verifies(line.split(' ').map(str::as_bytes));
        assert!(verifies("traffic_server -C verify_config"));
        assert!(verifies("/usr/bin/traffic_server -Cverify_config"));
        assert!(verifies("traffic_server -T wasm --command verify_config"));
        assert!(verifies("traffic_server --command=verify_config"));
        assert!(verifies("traffic_server -C verify_config -D/etc/trafficserver"));
        assert!(!verifies("traffic_server"));
        assert!(!verifies("traffic_server -C check -T verify_config"));
        assert!(!verifies("traffic_server --httpport verify_config"));
    }
}
