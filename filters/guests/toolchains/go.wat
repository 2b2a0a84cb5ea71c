;; Imitates: Go 1.24 and later with -buildmode=c-shared. A reactor whose _initialize starts a whole runtime, 34 functions of
;; WASI, marker 0_2_0. Its scheduler sleeps in poll_oneoff, in the middle of callbacks.
;; A host must: offer all of them (path_open, sock_accept), end the scan for open folders with EBADF, and let poll_oneoff
;; succeed: the runtime gives up the whole program when it fails.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times" (func (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))

  (memory (export "memory") 2)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "go")
  (global $heap (mut i32) (i32.const 65536))
  (global $ready (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_0"))

  (func (export "_initialize")
    (local $descriptor i32)
    (call $must (call $args_sizes_get (i32.const 2048) (i32.const 2052)))
    (call $must (call $environ_sizes_get (i32.const 2048) (i32.const 2052)))
    (call $must (call $random_get (i32.const 2048) (i32.const 32)))
    (call $must (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 2048)))
    ;; The three standard descriptors, then open folders from 3 on until EBADF.
    (loop $standard
      (call $must (call $fd_fdstat_get (local.get $descriptor) (i32.const 2048)))
      (local.set $descriptor (i32.add (local.get $descriptor) (i32.const 1)))
      (br_if $standard (i32.lt_u (local.get $descriptor) (i32.const 3))))
    (if (i32.ne (call $fd_prestat_get (i32.const 3) (i32.const 2048)) (i32.const 8))
      (then unreachable))
    (call $sleep)
    (global.set $ready (i32.const 1)))

  (func $must (param $errno i32)
    (if (local.get $errno) (then unreachable)))

  ;; What the scheduler does when all goroutines wait.
  (func $sleep
    (call $must (call $poll_oneoff (i32.const 3072) (i32.const 4096) (i32.const 1) (i32.const 2048)))
    (call $must (call $sched_yield)))

  ;; The allocator may sleep as well: it runs Go code.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (call $must (call $poll_oneoff (i32.const 3072) (i32.const 4096) (i32.const 1) (i32.const 2048)))
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $sleep)
    (call $must (call $buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 2056) (i32.const 2060)))
    (call $sleep)
    (global.get $ready))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (call $sleep)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 2)))
    (i32.const 0)))
