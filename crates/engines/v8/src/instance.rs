//! An instance: an isolate with one module in it.

use std::ffi::{CString, c_int};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use weir_engine::{
    CpuBudget, FuncId, HostState, Instance, InstantiateError, Limits, STACK_LIMIT, Signature, Trap,
};
use weir_engine_support::{Allocator, Deadline, Ended, Export, Exports, MemoryGuard, PAGE};

use crate::beat::Watch;
use crate::data::{Data, call, expired};
use crate::library::{DONE, Library, RawInstance};
use crate::module::{Compiled, MEMORY};
use crate::trap::{self, Message};

/// Pages that 32 bits can address.
const MAX_PAGES: u64 = 65_536;

pub(crate) struct V8Instance {
    library: &'static Library,
    /// From a box; freed after the isolate, which points to it.
    data: NonNull<Data>,
    watch: Option<Arc<Watch>>,
    /// Numbers of the exports.
    exports: Exports<u32>,
}

// SAFETY: all of it belongs to this value alone. The library locks the isolate for whichever thread uses it.
unsafe impl Send for V8Instance {}

impl V8Instance {
    pub fn new(
        module: &Arc<Compiled>,
        state: Box<dyn HostState>,
        guard: MemoryGuard,
        limits: &Limits,
    ) -> Result<Self, InstantiateError> {
        let library = module.library;
        let data = NonNull::from(Box::leak(Box::new(Data {
            state,
            module: Arc::clone(module),
            raw: ptr::null_mut(),
            allocator: Allocator::Unset,
            deadline: Deadline::start(limits.start_budget),
            guard,
            ended: Ended::default(),
        })));
        // From here on the value frees what there is.
        let mut new = Self {
            library,
            data,
            watch: None,
            exports: Exports::new(),
        };
        // SAFETY: the functions fit, and the data lives longer than the isolate.
        let raw = unsafe { (library.create)(call, expired, data.as_ptr().cast()) };
        if raw.is_null() {
            return Err(InstantiateError::Other(
                "V8 has no memory for another isolate".to_owned(),
            ));
        }
        new.data().raw = raw;
        new.watch = Some(Watch::start(library, raw));
        new.start(module, limits)?;
        Ok(new)
    }

    /// Instantiates the module, which runs its start section.
    fn start(&mut self, module: &Compiled, limits: &Limits) -> Result<(), InstantiateError> {
        let (pages, max) = module.memory.unwrap_or_default();
        let limit = (limits.memory / PAGE) as u64;
        let max = max.unwrap_or(MAX_PAGES).min(limit).min(MAX_PAGES);
        let page_count = |pages: u64| u32::try_from(pages).unwrap_or(u32::MAX);
        let (outcome, message) = self.run(|library, raw, message| {
            // SAFETY: the imports live as long as the data. No borrow of the data is alive.
            unsafe {
                (library.instantiate)(
                    raw,
                    module.raw,
                    module.imports.as_ptr(),
                    module.imports.len(),
                    MEMORY.0.as_ptr(),
                    MEMORY.1.as_ptr(),
                    i32::from(module.memory.is_some()),
                    page_count(pages),
                    page_count(max),
                    STACK_LIMIT,
                    message.place(),
                    message.room(),
                )
            }
        });
        if outcome == DONE {
            return Ok(());
        }
        let text = message.text();
        if self.data().ended.has_trap() || trap::is_trap(&text) {
            return Err(InstantiateError::Start(trap::take(
                outcome,
                &message,
                self.data(),
            )));
        }
        Err(InstantiateError::Other(text))
    }

    fn data(&mut self) -> &mut Data {
        // SAFETY: no guest runs: whatever lets one run does not hold this borrow.
        unsafe { self.data.as_mut() }
    }

    /// Lets the guest run, under the ticker's eyes. A panic of a host function goes on from here, now that V8's frames are
    /// gone.
    fn run(
        &mut self,
        work: impl FnOnce(&Library, *mut RawInstance, &mut Message) -> c_int,
    ) -> (c_int, Message) {
        let raw = self.data().raw;
        let mut message = Message::new();
        let running = |running| {
            if let Some(watch) = &self.watch {
                watch.set_running(running);
            }
        };
        running(true);
        let outcome = work(self.library, raw, &mut message);
        running(false);
        self.data().ended.resume_panic();
        (outcome, message)
    }
}

impl Instance for V8Instance {
    fn func(&mut self, name: &str, signature: Signature) -> Option<FuncId> {
        if !self.data().module.exports.has(name, signature) {
            return None;
        }
        let text = CString::new(name).ok()?;
        let raw = self.data().raw;
        // SAFETY: the instance is alive; the text is read here alone.
        let number = unsafe { (self.library.export)(raw, text.as_ptr()) };
        let number = u32::try_from(number).ok()?;
        self.exports.add(Export::new(number, signature))
    }

    fn set_allocator(&mut self, func: FuncId) {
        let number = self.exports.allocator(func).copied();
        self.data().allocator = Allocator::of(number);
    }

    fn call(&mut self, func: FuncId, args: &[u32], budget: CpuBudget) -> Result<u32, Trap> {
        let export = *self.exports.get(func, args)?;
        self.data().deadline = Deadline::start(budget);
        let mut result = 0;
        let (outcome, message) = self.run(|library, raw, message| {
            // SAFETY: an export of this instance, with so many `i32` as arguments. No borrow of the data is alive.
            unsafe {
                (library.call)(
                    raw,
                    export.func,
                    args.as_ptr(),
                    args.len(),
                    &mut result,
                    STACK_LIMIT,
                    message.place(),
                    message.room(),
                )
            }
        });
        if outcome == DONE {
            return Ok(if export.has_result { result } else { 0 });
        }
        Err(trap::take(outcome, &message, self.data()))
    }

    fn state(&mut self) -> &mut dyn HostState {
        &mut *self.data().state
    }

    fn memory_size(&self) -> usize {
        // SAFETY: no guest runs, and the slice is not kept.
        unsafe { self.data.as_ref().bytes() }.len()
    }
}

impl Drop for V8Instance {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.stop();
        }
        let raw = self.data().raw;
        // SAFETY: made in `new`; the ticker has let go of it. The data goes last.
        unsafe {
            if !raw.is_null() {
                (self.library.destroy)(raw);
            }
            drop(Box::from_raw(self.data.as_ptr()));
        }
    }
}
