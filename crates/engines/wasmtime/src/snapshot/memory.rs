//! Linear memory that lies in a file without a name. The instance to freeze writes to the file; instances that continue
//! from the snapshot map it copy-on-write.

use std::cell::RefCell;
use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// The file.
#[derive(Debug)]
pub(super) struct MemoryFile(OwnedFd);

impl MemoryFile {
    pub(super) fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(Self(memfd_create(c"weir-vm", flags)?))
    }

    /// Nobody can write to it any more. There must be no mapping left that can.
    pub(super) fn seal(&self) -> io::Result<()> {
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        Ok(fcntl_add_seals(&self.0, seals)?)
    }
}

/// The source of this thread's next memory.
#[derive(Clone)]
pub(super) enum Backing {
    /// Writes go to the file.
    Written(Arc<MemoryFile>),
    /// Begins with so many bytes of the file, which stays as it is.
    Snapshot(Arc<MemoryFile>, usize),
}

thread_local! {
    static NEXT: RefCell<Option<Backing>> = const { RefCell::new(None) };
}

/// Instantiates with memory made from `backing`. Wasmtime makes an instance's memory on the thread that asks for the
/// instance.
pub(super) fn with_backing<R>(backing: Backing, instantiate: impl FnOnce() -> R) -> R {
    NEXT.set(Some(backing));
    let instance = instantiate();
    NEXT.set(None);
    instance
}

/// Makes memories as [`with_backing`] says.
pub(super) struct Creator;

// SAFETY: each memory is a reservation of its own, as long as Wasmtime asks for and unmapped beyond the memory's size,
// guard included; it is unmapped when Wasmtime drops it, and the file is not written to otherwise. That memory is not zero
// at first is what a snapshot is for: nothing relies on it, for rewritten modules have no active data segments.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let backing = NEXT
            .take()
            .ok_or("memory was asked for that nobody said how to make")?;
        let reserved = reserved.ok_or("no address space is reserved")?;
        let memory = Mapping::new(backing, minimum, reserved, guard);
        Ok(Box::new(memory.map_err(|error| format!("no memory: {error}"))?))
    }
}

/// The guest's access to its memory.
const ACCESS: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// A linear memory.
struct Mapping {
    base: *mut c_void,
    /// Bytes that can be used.
    size: usize,
    /// Bytes that it can grow to in its place.
    reserved: usize,
    /// Bytes in all.
    total: usize,
    backing: Backing,
}

// SAFETY: the mapping is this value's own, and changes through `&mut` only.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference nothing is changed.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(backing: Backing, minimum: usize, reserved: usize, guard: usize) -> io::Result<Self> {
        let total = reserved.checked_add(guard).ok_or(io::ErrorKind::InvalidInput)?;
        let nothing = ProtFlags::empty();
        let base = match &backing {
            // All of it is the file's, which may be shorter: what is not in use cannot be touched.
            // SAFETY: a new mapping, wherever there is room, that nobody can read or write.
            Backing::Written(file) => unsafe {
                let flags = MapFlags::SHARED | MapFlags::NORESERVE;
                mmap(ptr::null_mut(), total, nothing, flags, &file.0, 0)?
            },
            // SAFETY: a new mapping, wherever there is room, that nobody can read or write.
            Backing::Snapshot(..) => unsafe {
                mmap_anonymous(
                    ptr::null_mut(),
                    total,
                    nothing,
                    MapFlags::PRIVATE | MapFlags::NORESERVE,
                )?
            },
        };
        // From here on the value unmaps it.
        let mut memory = Self {
            base,
            size: 0,
            reserved,
            total,
            backing,
        };
        if let Err(error) = memory.show_snapshot() {
            // The range may not be ours any more, so it is not given back.
            std::mem::forget(memory);
            return Err(error);
        }
        if minimum > memory.size {
            memory.grow(minimum)?;
        }
        Ok(memory)
    }

    /// Puts the snapshot at the start of the reservation.
    fn show_snapshot(&mut self) -> io::Result<()> {
        let Backing::Snapshot(file, size) = &self.backing else {
            return Ok(());
        };
        if *size > self.reserved {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if *size > 0 {
            // SAFETY: takes the place of a part of our reservation, which nobody uses yet, and consists of whole pages.
            unsafe {
                mmap(
                    self.base,
                    *size,
                    ACCESS,
                    MapFlags::PRIVATE | MapFlags::FIXED,
                    &file.0,
                    0,
                )?
            };
        }
        self.size = *size;
        Ok(())
    }

    /// Makes more of the reservation usable. Where that fails, all is as it was.
    fn grow(&mut self, size: usize) -> io::Result<()> {
        if size > self.reserved || size < self.size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if let Backing::Written(file) = &self.backing {
            ftruncate(&file.0, size as u64)?;
        }
        // SAFETY: the range lies in our reservation, behind all that is in use. It consists of whole pages: WebAssembly's are
        // 64 KiB, and so many sizes are.
        unsafe {
            let end = self.base.cast::<u8>().add(self.size).cast();
            mprotect(end, size - self.size, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        self.size = size;
        Ok(())
    }
}

// SAFETY: `as_ptr` is the start of a mapping that never moves, of which `byte_size` bytes can be read and written.
unsafe impl LinearMemory for Mapping {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.reserved
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        Ok(self.grow(size)?)
    }

    fn as_ptr(&self) -> *mut u8 {
        self.base.cast()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made in `new`, all of it; Wasmtime has dropped the memory, so nobody points into it.
        if let Err(error) = unsafe { munmap(self.base, self.total) } {
            tracing::error!("a guest's memory could not be given back: {error}");
        }
    }
}
