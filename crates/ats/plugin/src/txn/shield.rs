//! A crash of Traffic Server 9 that any transform of requests can bring about, kept from happening.
//!
//! An origin may answer before it has taken the whole of a request's body. The server then ends the tunnel of the body
//! (`HttpTunnel::abort_tunnel`) by calling `do_io_write` of each consumer without a buffer, and that function of a
//! plugin's connection (`INKVConnInternal`) looks into the buffer: the server dies. 10.x looks first. Here each transform
//! of ours gets a copy of its table of virtual functions in which this one is replaced by one that looks first, too.
//!
//! Nothing is assumed about the table's layout: its address and size and the function's address come from the server's
//! own symbols, and where one of them is missing, or the object does not have this very table, it is left as it is.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use weir_ats_sys::{Line, TSCont, TSContDataGet, TSVConn, TSVConnWriteVIOGet};

use super::{Next, TxnPtr};

/// `VIO *INKVConnInternal::do_io_write(Continuation *, int64_t, IOBufferReader *, bool)`.
type DoIoWrite = unsafe extern "C" fn(*mut c_void, *mut c_void, i64, *mut c_void, bool) -> *mut c_void;

struct Table {
    /// The table of the server.
    original: &'static [usize],
    /// The one with the function replaced.
    shielded: &'static [usize],
    /// The function that is stood in for.
    do_io_write: DoIoWrite,
}

static TABLE: OnceLock<Option<Table>> = OnceLock::new();

/// Shields a transform of a request that has just been made.
///
/// # Safety
///
/// The transform came from `TSTransformCreate`, has not been given to the server yet, and its data is the address of the
/// [`Txn`](super::Txn) that holds it, which it will be until it is closed.
pub(super) unsafe fn shield(transform: TSVConn) {
    let Some(table) = TABLE.get_or_init(find) else {
        return;
    };
    let object = transform.as_ptr().cast::<usize>();
    // SAFETY: an object with virtual functions begins with an address inside of their table (Itanium C++ ABI, 2.5). The copy
    // has the same words in the same places but for one, and lives as long as the process. The server writes the address
    // anew when it makes another object in this place.
    unsafe {
        let held = object.read();
        let offset = held.wrapping_sub(table.original.as_ptr().addr());
        if offset < size_of_val(table.original) {
            object.write(table.shielded.as_ptr().expose_provenance() + offset);
        }
    }
}

fn find() -> Option<Table> {
    if weir_ats_sys::version().line != Line::V9 {
        return None;
    }
    let do_io_write = symbol(c"_ZN16INKVConnInternal11do_io_writeEP12ContinuationlP14IOBufferReaderb")?;
    let start = symbol(c"_ZTV16INKVConnInternal")?;
    let words = size_of_symbol(start)? / size_of::<usize>();
    // SAFETY: the server's symbol says that the table has so many bytes; it is never written to.
    let original = unsafe { std::slice::from_raw_parts(start.cast::<usize>(), words) };
    let mut copy = original.to_vec();
    let place = copy.iter().position(|word| *word == do_io_write.addr())?;
    copy[place] = look_first as DoIoWrite as usize;
    Some(Table {
        original,
        shielded: Vec::leak(copy),
        // SAFETY: the mangled name says that the function has these parameters; a member function takes its object first
        // (Itanium C++ ABI, 3.1).
        do_io_write: unsafe { std::mem::transmute::<*mut c_void, DoIoWrite>(do_io_write) },
    })
}

/// Stands in for the server's function on transforms of ours.
unsafe extern "C" fn look_first(
    object: *mut c_void,
    cont: *mut c_void,
    bytes: i64,
    reader: *mut c_void,
    owner: bool,
) -> *mut c_void {
    if !reader.is_null()
        && let Some(Some(table)) = TABLE.get()
    {
        // SAFETY: the server's own call, handed on.
        return unsafe { (table.do_io_write)(object, cont, bytes, reader, owner) };
    }
    let transform = TSVConn(object);
    crate::guard::catch(|| {
        // SAFETY: only transforms of requests are shielded, whose data this is (`shield`); the server calls under the
        // transaction's mutex, and from none of our own calls into it.
        let txn = unsafe { TxnPtr::new(TSContDataGet(TSCont::from(transform)).cast()) };
        if let Some(txn) = txn {
            txn.work(|txn| {
                txn.on_request_aborted();
                Next::Nothing
            });
        }
    });
    // SAFETY: the object is a transform that has not been freed. What is returned replaces what the tunnel had before.
    unsafe { TSVConnWriteVIOGet(transform) }.as_ptr()
}

fn symbol(name: &std::ffi::CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with NUL; what is found is checked by the callers.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// The size in bytes of the symbol at an address.
fn size_of_symbol(address: *mut c_void) -> Option<usize> {
    const RTLD_DL_SYMENT: c_int = 1;
    unsafe extern "C" {
        fn dladdr1(
            address: *const c_void,
            info: *mut libc::Dl_info,
            extra: *mut *mut c_void,
            flags: c_int,
        ) -> c_int;
    }
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let mut entry: *mut c_void = std::ptr::null_mut();
    // SAFETY: both places are written to; the entry lies in the symbol table of the executable, which stays.
    unsafe {
        if dladdr1(address, info.as_mut_ptr(), &mut entry, RTLD_DL_SYMENT) == 0 || entry.is_null() {
            return None;
        }
        let entry = entry.cast::<libc::Elf64_Sym>().read_unaligned();
        let found = info.assume_init().dli_saddr;
        (found == address).then_some(usize::try_from(entry.st_size).ok()?)
    }
}
