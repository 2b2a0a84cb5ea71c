//! The plugin's loaded state: the documents of each instance, the VMs that they need on each net thread, and the chains made of both.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use weir_abi::LogLevel;
use weir_config::{ConfigError, Environment, FilterConfig, FilterDocuments, Ticks};
use weir_meters::Meters;
use weir_plan::{FileStamp, Planned, Planner, Runtimes};
use weir_supervisor::{Fleet, OnFailure, Supervisor, VmThread};

use crate::instances::PluginInstances;
use crate::log::note;
use crate::namesakes::Namesakes;
use crate::net_thread::NetThread;
use crate::plugin::code_cache;
use crate::thread_chain::{Served, ServedFilter, ThreadChains};

/// Loads and reloads.
pub(crate) struct Control {
    planner: Planner,
    meters: Meters,
    threads: &'static [&'static NetThread],
    /// The same threads, as their VMs know them.
    vm_threads: Vec<VmThread>,
    folder: PathBuf,
    documents: FilterDocuments,
    /// The level of filters that name none.
    log_level: LogLevel,
    instances: PluginInstances,
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
    /// Refusals and warnings that have been logged and still hold.
    reported: HashSet<String>,
    /// Filters of which the log says that they are open by default, since rules were last read.
    noted: usize,
}

/// Filters of which the log says that they are open by default; the others are counted.
const MOST_NOTES: usize = 20;

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
            documents: FilterDocuments::new(
                Environment::process()
                    .with_folder(&folder)
                    .with_capabilities(weir_plan::capability_names()),
            ),
            folder,
            // Lines below a warning show only while the debug tag is on.
            log_level: LogLevel::Trace,
            instances: PluginInstances::default(),
            fleet: Fleet::default(),
            stamps: HashMap::new(),
            tried: Vec::new(),
            in_remap: false,
            changed: false,
            serves: false,
            reported: HashSet::new(),
            noted: 0,
        }
    }

    /// Sets the level of filters that name none, for what is loaded from now on.
    pub fn set_log_level(&mut self, log_level: LogLevel) {
        self.log_level = log_level;
    }

    /// Adds documents to the instance of `plugin.config`. What is wrong with one is logged, and its traffic gets its fail policy.
    pub fn add_files(&mut self, files: &[PathBuf]) {
        let files = self.absolute_all(files);
        let filters = self.read_or_stand_in(&files);
        self.changed |= !filters.is_empty();
        self.instances.extend_global(files, filters);
    }

    /// Makes the instance of a remap rule, or finds the one with the same documents. A document that is wrong fails the
    /// rule while the server runs, so that its old rules stay; at start the rule is served without the filter.
    pub fn new_instance(&mut self, files: &[PathBuf]) -> Result<usize, String> {
        let files = self.absolute_all(files);
        if let Some(number) = self.instances.join(&files) {
            return Ok(number);
        }
        let filters = if self.serves || is_verifying() {
            let mut filters = Vec::with_capacity(files.len());
            for file in &files {
                filters.push(self.read(file).map_err(|error| first_line(&error))?);
            }
            self.say_of(&filters);
            filters
        } else {
            self.read_or_stand_in(&files)
        };
        let number = self.instances.add(files, filters);
        self.changed = true;
        if !self.in_remap {
            self.apply_at_start();
        }
        Ok(number)
    }

    /// Reads documents; one that is wrong has a stand-in.
    fn read_or_stand_in(&mut self, files: &[PathBuf]) -> Vec<Arc<FilterConfig>> {
        let mut filters = Vec::with_capacity(files.len());
        for file in files {
            filters.push(self.read(file).unwrap_or_else(|_| self.stand_in(file)));
        }
        self.say_of(&filters);
        filters
    }

    /// Logs what operators should know of filters. Whoever set a filter up should see that its policy is open, debug output or not.
    fn say_of(&mut self, filters: &[Arc<FilterConfig>]) {
        for warning in filters.iter().flat_map(|filter| filter.warnings()) {
            self.report_once(&warning, |warning| tracing::warn!("{warning}"));
        }
        for line in filters.iter().filter_map(|filter| filter.open_by_default()) {
            self.noted += 1;
            if self.noted <= MOST_NOTES {
                note(&line);
            }
        }
    }

    /// A remap rule has no use for its instance any more. Transactions that have begun keep their chains.
    pub fn drop_instance(&mut self, number: usize) {
        if self.instances.leave(number) {
            self.changed = true;
        }
    }

    /// `remap.config` is about to be read.
    pub fn begin_remap(&mut self) {
        self.in_remap = true;
        self.noted = 0;
    }

    /// `remap.config` has been read.
    pub fn end_remap(&mut self) {
        crate::txn::slices::look();
        self.in_remap = false;
        let more = self.noted.saturating_sub(MOST_NOTES);
        if more > 0 {
            note(&format!(
                "{more} more filters have no `fail_policy`, so they are open"
            ));
        }
        self.apply_at_start();
        self.serves = true;
    }

    /// Serves what has been added, without what is refused.
    pub fn apply_at_start(&mut self) {
        if !self.changed {
            return;
        }
        // Refusals have been logged.
        let applied = self.apply(None, OnFailure::Retry);
        if applied.is_ok() && !self.serves {
            self.note_start();
        }
    }

    /// Says what has been loaded, for whoever looks whether and how the plugin runs.
    fn note_start(&self) {
        let filters: HashSet<_> = self.instances.filters().map(|filter| &filter.source).collect();
        note(&format!(
            "wasm.so {}: {} filter documents, {} VMs on each of {} net threads, {}",
            env!("CARGO_PKG_VERSION"),
            filters.len(),
            self.fleet.plans(),
            self.threads.len(),
            code_cache(),
        ));
    }

    /// Reads all documents again and serves from them. What is wrong is logged, and then everything stays as it is.
    pub fn reload(&mut self) -> Result<(), Kept> {
        let mut wrong = false;
        let mut read: Vec<Vec<Arc<FilterConfig>>> = Vec::new();
        let mut tried = Vec::new();
        let instances = self.instances.files();
        let watched: HashSet<PathBuf> = self
            .instances
            .filters()
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
        let mut files: Vec<PathBuf> = self
            .instances
            .filters()
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
        let filters = read.unwrap_or_else(|| self.instances.chains());
        if on_failure == OnFailure::Keep {
            self.reported.clear();
        }
        let namesakes = Namesakes::of(&filters);
        for problem in &namesakes.problems {
            self.report_once(problem, |problem| tracing::error!("{problem}"));
        }
        for warning in &namesakes.warnings {
            self.report_once(warning, |warning| tracing::warn!("{warning}"));
        }
        if on_failure == OnFailure::Keep && !namesakes.problems.is_empty() {
            return Err(Kept);
        }
        // One that is refused keeps its place in the chain: its streams get its fail policy.
        let mut serving: Vec<Arc<FilterConfig>> = Vec::new();
        for (instance, chain) in filters.iter().enumerate() {
            let takes = |place: usize| !namesakes.refuses(instance, place) && !chain[place].is_stand_in();
            serving.extend(
                (0..chain.len())
                    .filter(|place| takes(*place))
                    .map(|place| Arc::clone(&chain[place])),
            );
        }
        let planned = self.plan(&mut serving, on_failure)?;
        for refusal in &planned.refused {
            self.report_once(&refusal.to_string(), |refusal| tracing::error!("{refusal}"));
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
        let served = Arc::new(Served {
            instances: filters
                .iter()
                .enumerate()
                .map(|(instance, chain)| {
                    let refused = |place| namesakes.refuses(instance, place);
                    served(chain, &planned, &fleet, refused)
                })
                .collect(),
        });
        for (thread, index) in self.threads.iter().zip(0..) {
            let slots = (0..planned.vms.len()).map(|vm| fleet.slot(vm, index).cloned());
            let slots = slots.collect::<Option<_>>().unwrap_or_default();
            thread.install(ThreadChains::new(Arc::clone(&served), slots));
        }
        self.instances.set_chains(filters);
        self.fleet.replace(fleet);
        self.documents.forget_unused();
        self.changed = false;
        Ok(())
    }

    /// Logs a text unless it has been logged since the last reload.
    fn report_once(&mut self, text: &str, log: impl FnOnce(&str)) {
        if self.reported.insert(text.to_owned()) {
            log(text);
        }
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
        serving.retain(|filter| match self.planner.check(filter) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("{}: {error}", filter.source.display());
                false
            }
        });
        self.planner.plan(serving, &[], self.log_level).map_err(|error| {
            tracing::error!("{error}");
            Kept
        })
    }

    /// Reads a document. What is wrong with it is logged.
    fn read(&mut self, file: &Path) -> Result<Arc<FilterConfig>, ConfigError> {
        let stamp = FileStamp::of(file);
        let runtimes = self.planner.runtimes();
        let loaded = self.documents.load(file).and_then(|filter| {
            filter.check_runtime(&runtimes)?;
            Ok(filter)
        });
        match loaded {
            Ok(filter) => {
                if filter.watch {
                    self.stamps.insert(file.to_owned(), stamp);
                    // The files that the document names are read later.
                    for other in filter.files().into_iter().filter(|other| other != file) {
                        let stamp = FileStamp::of(&other);
                        self.stamps.insert(other, stamp);
                    }
                }
                Ok(filter)
            }
            Err(error) => {
                self.stamps.insert(file.to_owned(), stamp);
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
        Arc::new(FilterConfig::stand_in(file, self.documents.environment()))
    }

    fn absolute_all(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        files.iter().map(|file| self.absolute(file)).collect()
    }

    /// The absolute name of a file; a relative one begins at the server's configuration folder.
    pub fn absolute(&self, file: &Path) -> PathBuf {
        self.folder.join(file)
    }
}

/// The filters of an instance, as net threads serve them.
fn served(
    chain: &[Arc<FilterConfig>],
    planned: &Planned,
    fleet: &Fleet,
    refused: impl Fn(usize) -> bool,
) -> Vec<ServedFilter> {
    let filter = |(place, config): (usize, &Arc<FilterConfig>)| {
        let position = if refused(place) {
            None
        } else {
            planned.position(config)
        };
        let plan = position.and_then(|(vm, _)| fleet.plan(vm));
        let replies = plan.is_some_and(|plan| {
            let info = plan.spec.module.info();
            const REPLY: &str = "proxy_send_local_response";
            let allowed = config.vm.allowed_capabilities.as_ref();
            info.has_import(REPLY) && allowed.is_none_or(|allowed| allowed.iter().any(|name| name == REPLY))
        });
        ServedFilter {
            config: Arc::clone(config),
            position,
            replies,
            module: plan.map(|plan| plan.spec.module.digest()),
        }
    };
    chain.iter().enumerate().map(filter).collect()
}

/// Returns true if the process only checks its configuration: `traffic_server -C verify_config`. No function of the server tells.
fn is_verifying() -> bool {
    static VERIFIES: OnceLock<bool> = OnceLock::new();
    *VERIFIES.get_or_init(|| {
        let line = std::fs::read("/proc/self/cmdline").unwrap_or_default();
        verifies(line.split(|byte| *byte == 0))
    })
}

/// Returns true if a command line asks for `verify_config`, in any of the ways in which the server takes it.
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
                note("filters reloaded");
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
