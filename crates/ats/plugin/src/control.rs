//! What is loaded: the documents of each instance, the VMs that they need on each net thread, and the chains made of both.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_abi::LogLevel;
use weir_config::{Environment, FilterConfig, Ticks};
use weir_host::Shared;
use weir_plan::{FileStamp, Planned, Planner, Runtimes, VmPlan};

use crate::events::Hub;
use crate::net_thread::NetThread;
use crate::plugin::GLOBAL;
use crate::thread_chain::{ThreadChain, ThreadFilter};
use crate::vm::place::{Place, PlaceRef};
use crate::vm::start;

/// Loads and reloads.
pub(crate) struct Control {
    planner: Planner,
    shared: Shared,
    hub: Hub,
    threads: &'static [&'static NetThread],
    folder: PathBuf,
    /// The level of filters that name none.
    log_level: LogLevel,
    /// By number. The first is that of `plugin.config`; remap rules with the same files share one.
    instances: Vec<Instance>,
    /// The VMs that run, one list of places for each plan.
    vms: Vec<Vm>,
    /// The files that have been read, as they were then.
    stamps: HashMap<PathBuf, FileStamp>,
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

/// A VM that each net thread has a place for.
struct Vm {
    plan: Arc<VmPlan>,
    places: Vec<Arc<Place>>,
}

/// What filters that cannot be used mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnRefusal {
    /// Serve with the rest: there is nothing better to go on with.
    ServeTheRest,
    /// Keep what is being served.
    Keep,
}

/// Nothing has been changed; what is wrong has been logged.
pub(crate) struct Kept;

impl Control {
    /// Nothing is loaded so far.
    pub fn new(
        runtimes: Runtimes,
        shared: Shared,
        hub: Hub,
        threads: &'static [&'static NetThread],
        folder: PathBuf,
    ) -> Self {
        Self {
            planner: Planner::new(runtimes, shared.clone()),
            shared,
            hub,
            threads,
            folder,
            log_level: LogLevel::Info,
            instances: vec![Instance::default()],
            vms: Vec::new(),
            stamps: HashMap::new(),
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
            filters.push(self.read(file).unwrap_or_else(|_| self.stand_in(file)));
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
        if self.serves {
            for file in &files {
                self.read(file)?;
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
            let _ = self.apply(None, OnRefusal::ServeTheRest);
        }
    }

    /// Reads all documents again and serves from them. What is wrong is logged, and then everything stays as it is.
    pub fn reload(&mut self) -> Result<(), Kept> {
        let mut wrong = false;
        let mut read: Vec<Vec<Arc<FilterConfig>>> = Vec::new();
        let instances: Vec<Vec<PathBuf>> = self
            .instances
            .iter()
            .map(|instance| instance.files.clone())
            .collect();
        for files in instances {
            let mut filters = Vec::new();
            for file in files {
                match self.read(&file) {
                    Ok(filter) => filters.push(filter),
                    Err(_) => wrong = true,
                }
            }
            read.push(filters);
        }
        if wrong {
            return Err(Kept);
        }
        self.apply(Some(read), OnRefusal::Keep)
    }

    /// The files that what is loaded was read from, as they were then, where somebody wants them watched.
    pub fn watched_files(&self) -> Vec<(PathBuf, FileStamp)> {
        let filters = self.instances.iter().flat_map(|instance| &instance.filters);
        let mut files: Vec<PathBuf> = filters
            .filter(|filter| filter.watch)
            .flat_map(|filter| filter.files())
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
        on_refusal: OnRefusal,
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
        if on_refusal == OnRefusal::Keep && !namesakes.is_empty() {
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
        let planned = self.plan(&mut serving, on_refusal)?;
        if on_refusal == OnRefusal::Keep {
            self.reported.clear();
        }
        for refusal in &planned.refused {
            let text = refusal.to_string();
            if !self.reported.contains(&text) {
                tracing::error!("{text}");
                self.reported.insert(text);
            }
        }
        if on_refusal == OnRefusal::Keep && !planned.refused.is_empty() {
            return Err(Kept);
        }
        let vms = self.start_vms(&planned, &serving, on_refusal)?;
        for (thread, index) in self.threads.iter().zip(0..) {
            let chains = filters
                .iter()
                .map(|filters| Some(Arc::new(chain(filters, &planned, &vms, index))))
                .collect();
            thread.install(chains);
        }
        for (instance, filters) in self.instances.iter_mut().zip(filters) {
            instance.filters = filters;
        }
        let old = std::mem::replace(&mut self.vms, vms);
        for vm in old {
            let stays = self.vms.iter().any(|other| same(&other.places, &vm.places));
            if !stays {
                vm.places.iter().for_each(|place| place.retire());
            }
        }
        self.changed = false;
        Ok(())
    }

    /// Plans the VMs of filters. One that cannot even be planned is left out where the rest is to be served.
    fn plan(&mut self, serving: &mut Vec<Arc<FilterConfig>>, on_refusal: OnRefusal) -> Result<Planned, Kept> {
        let error = match self.planner.plan(serving, &[], self.log_level) {
            Ok(planned) => return Ok(planned),
            Err(error) => error,
        };
        if on_refusal == OnRefusal::Keep {
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

    /// The VMs of a plan, on each net thread: those that run already, and new ones for the rest.
    fn start_vms(
        &self,
        planned: &Planned,
        serving: &[Arc<FilterConfig>],
        on_refusal: OnRefusal,
    ) -> Result<Vec<Vm>, Kept> {
        let mut vms = Vec::with_capacity(planned.vms.len());
        let mut fresh = Vec::new();
        for plan in &planned.vms {
            let known = self.vms.iter().find(|known| known.plan.identity == plan.identity);
            if let Some(known) = known {
                plan.learn_from(&known.plan);
                vms.push(Vm {
                    plan: Arc::clone(&known.plan),
                    places: known.places.clone(),
                });
                continue;
            }
            let places: Vec<_> = self
                .threads
                .iter()
                .map(|thread| {
                    let ticks = ticks(plan, serving, thread.index);
                    Place::new(Arc::clone(plan), thread, ticks, self.hub.clone())
                })
                .collect();
            fresh.extend(places.iter().cloned());
            vms.push(Vm {
                plan: Arc::clone(plan),
                places,
            });
        }
        let failed = self.start_all(&fresh);
        if failed.is_empty() {
            return Ok(vms);
        }
        if on_refusal == OnRefusal::Keep {
            fresh.iter().for_each(|place| place.retire());
            return Err(Kept);
        }
        // They have passed their trial, so they may yet come up.
        failed.iter().for_each(|place| place.revive());
        Ok(vms)
    }

    /// Starts the VMs of places, as many at a time as there are cores; gives those that did not start.
    fn start_all(&self, places: &[Arc<Place>]) -> Vec<Arc<Place>> {
        let outcomes = weir_plan::in_parallel(places, |place| {
            start::start(place, &self.shared, &self.hub)
                .inspect_err(|error| tracing::error!("{error}"))
                .is_err()
        });
        let failed = places.iter().zip(outcomes).filter(|(_, failed)| *failed);
        failed.map(|(place, _)| Arc::clone(place)).collect()
    }

    /// Reads a document. What is wrong with it is logged, and its first line returned.
    fn read(&mut self, file: &Path) -> Result<Arc<FilterConfig>, String> {
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
                let text = error.to_string();
                text.lines().for_each(|line| tracing::error!("{line}"));
                Err(text.lines().next().unwrap_or_default().to_owned())
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
fn chain(filters: &[Arc<FilterConfig>], planned: &Planned, vms: &[Vm], thread: usize) -> ThreadChain {
    let filter = |config: &Arc<FilterConfig>| {
        let place = planned.place(config).and_then(|(vm, plugin)| {
            let place = vms.get(vm)?.places.get(thread)?;
            Some((PlaceRef(Arc::clone(place)), plugin))
        });
        let replies = place.as_ref().is_some_and(|(place, _)| {
            let info = place.0.plan.spec.module.info();
            const REPLY: &str = "proxy_send_local_response";
            let allowed = config.vm.allowed_capabilities.as_ref();
            info.has_import(REPLY) && allowed.is_none_or(|allowed| allowed.iter().any(|name| name == REPLY))
        });
        ThreadFilter {
            config: Arc::clone(config),
            place,
            replies,
        }
    };
    ThreadChain::new(filters.iter().map(filter).collect())
}

/// For each plugin of a VM, whether its ticks run on the net thread of this number.
fn ticks(plan: &VmPlan, serving: &[Arc<FilterConfig>], thread: usize) -> Vec<bool> {
    let by_name: HashMap<&str, Ticks> = serving
        .iter()
        .map(|filter| (filter.name.as_str(), filter.ticks))
        .collect();
    plan.plugins
        .iter()
        .map(|plugin| match by_name.get(plugin.name.as_str()) {
            Some(Ticks::EveryVm) => true,
            Some(Ticks::OneVm) | None => thread == 0,
        })
        .collect()
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

fn same(one: &[Arc<Place>], other: &[Arc<Place>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}

impl Control {
    /// Frees what no rule uses any more.
    pub fn tidy(&mut self) {
        if !self.in_remap {
            self.apply_at_start();
        }
    }

    /// Counts and logs how a reload went.
    pub fn reload_and_report(&mut self) {
        match self.reload() {
            Ok(()) => {
                self.shared.meters().reloads.increment();
                // Whoever asked for it looks into the log, debug output or not.
                weir_ats_sys::TSNote(c"[wasm] filters have been loaded again");
            }
            Err(Kept) => {
                self.shared.meters().reload_failures.increment();
                tracing::error!("filters have not been loaded again: the ones that were loaded before go on");
            }
        }
    }
}
