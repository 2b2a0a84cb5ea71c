//! The same under the older name of the module, which AssemblyScript links.
//!
//! covers: args_get args_sizes_get environ_get environ_sizes_get clock_res_get clock_time_get random_get sched_yield
//! filter: vm_config.environment_variables.key_values = {"COLOUR": "red"}
//!
//! request: GET /
//! status: 200
//! body: args 0: 0 of 0 bytes; 0
//! body: environ 0: COLOUR=red; 0
//! body: clocks 0 0 58 58, set true
//! body: resolution 0 0
//! body: random 0, 0 bytes 0, differs true, 64 KiB 0, more 28
//! body: yield 0
//! body: poll 0, 1 events
//! body: raise 52
//! body: write 0, all of it true, to 9: 8
//! body: pwrite 0, all of it true, to 9: 8
//! body: read 0, 0 bytes
//! body: pread 52
//! body: seek 70, tell 70
//! body: close 0, 9: 8
//! body: fdstat 0, rights 64; 9: 8
//! body: fdstat_set_flags 52, fdstat_set_rights 0, 9: 8
//! body: filestat 8, set_size 0, 9: 8, set_times 0, 9: 8
//! body: advise 0, 9: 8, allocate 0, 9: 8, datasync 0, 9: 8, sync 0, 9: 8
//! body: prestat 8, dir_name 52, readdir 54, renumber 58, 9: 8
//! body: path_open 44
//! body: paths 58 58 58 58 58 58 58 58 58
//! body: sockets 58 58 58 58

use conformance::*;

wasi_module!("wasi_unstable");

guest! {
    fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
        report_wasi();
        reply()
    }
}
