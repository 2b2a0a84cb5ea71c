;; Imitates: nobody in particular, but what large libraries link in: all 46 functions of WASI preview 1, under both names.
;; A host must: offer every one of them with the specification's types, and answer as a host without files and sockets does:
;; clocks, randomness, standard output and the scheduler work, the scan for open folders ends with EBADF, files and
;; sockets do not exist.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_advise" (func (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_allocate" (func (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_datasync" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_rights" (func (param i32 i64 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times" (func (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (import "wasi_snapshot_preview1" "proc_raise" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_recv" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_send" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_shutdown" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "args_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "args_sizes_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "environ_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "environ_sizes_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "clock_res_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "clock_time_get" (func (param i32 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_advise" (func (param i32 i64 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_allocate" (func (param i32 i64 i64) (result i32)))
  (import "wasi_unstable" "fd_close" (func (param i32) (result i32)))
  (import "wasi_unstable" "fd_datasync" (func (param i32) (result i32)))
  (import "wasi_unstable" "fd_fdstat_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_fdstat_set_flags" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_fdstat_set_rights" (func (param i32 i64 i64) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_set_size" (func (param i32 i64) (result i32)))
  (import "wasi_unstable" "fd_filestat_set_times" (func (param i32 i64 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_pread" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_prestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_prestat_dir_name" (func (param i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_pwrite" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_read" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_readdir" (func (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_unstable" "fd_renumber" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_sync" (func (param i32) (result i32)))
  (import "wasi_unstable" "fd_tell" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_create_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_filestat_get" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_filestat_set_times" (func (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_unstable" "path_link" (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_open" (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "path_readlink" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_remove_directory" (func (param i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_rename" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_symlink" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "path_unlink_file" (func (param i32 i32 i32) (result i32)))
  (import "wasi_unstable" "poll_oneoff" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func (param i32)))
  (import "wasi_unstable" "proc_raise" (func (param i32) (result i32)))
  (import "wasi_unstable" "sched_yield" (func (result i32)))
  (import "wasi_unstable" "random_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "sock_accept" (func (param i32 i32 i32) (result i32)))
  (import "wasi_unstable" "sock_recv" (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "sock_send" (func (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "sock_shutdown" (func (param i32 i32) (result i32)))

  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "all_wasi")
  ;; One vector for fd_write: the text and its length. One of 16 bytes for fd_read.
  (data (i32.const 1100) "\70\04\00\00\12\00\00\00")
  (data (i32.const 1110) "\00\10\00\00\10\00\00\00")
  (data (i32.const 1136) "all of wasi links\n")
  (data (i32.const 1160) "/etc/passwd")

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  ;; Traps, and so names the line in a backtrace, unless both are equal.
  (func $expect (param $errno i32) (param $expected i32)
    (if (i32.ne (local.get $errno) (local.get $expected)) (then unreachable)))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (call $arguments)
    (call $clocks)
    (call $randomness)
    (call $standard_streams)
    (call $no_files)
    (call $scheduler)
    (i32.const 1))

  (func $arguments
    (call $expect (call $args_sizes_get (i32.const 2048) (i32.const 2052)) (i32.const 0))
    (call $expect (i32.load (i32.const 2048)) (i32.const 0))
    (call $expect (call $environ_sizes_get (i32.const 2048) (i32.const 2052)) (i32.const 0)))

  (func $clocks
    (call $expect (call $clock_res_get (i32.const 0) (i32.const 2048)) (i32.const 0))
    (call $expect (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 2048)) (i32.const 0))
    ;; Nanoseconds since 1970 are more than those of the year 2020.
    (call $expect (i64.gt_u (i64.load (i32.const 2048)) (i64.const 1577836800000000000)) (i32.const 1))
    (call $expect (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 2048)) (i32.const 0))
    ;; CPU time is not offered: NOTSUP.
    (call $expect (call $clock_time_get (i32.const 2) (i64.const 1) (i32.const 2048)) (i32.const 58)))

  (func $randomness
    (i64.store (i32.const 2048) (i64.const 0))
    (i64.store (i32.const 2056) (i64.const 0))
    (call $expect (call $random_get (i32.const 2048) (i32.const 16)) (i32.const 0))
    ;; 128 random bits are not all 0.
    (call $expect
      (i64.eqz (i64.or (i64.load (i32.const 2048)) (i64.load (i32.const 2056))))
      (i32.const 0)))

  (func $standard_streams
    (call $expect (call $fd_write (i32.const 1) (i32.const 1100) (i32.const 1) (i32.const 2048)) (i32.const 0))
    ;; The line break counts too.
    (call $expect (i32.load (i32.const 2048)) (i32.const 18))
    (call $expect (call $fd_fdstat_get (i32.const 1) (i32.const 2048)) (i32.const 0))
    ;; Standard input is at its end.
    (call $expect (call $fd_read (i32.const 0) (i32.const 1110) (i32.const 1) (i32.const 2048)) (i32.const 0))
    (call $expect (i32.load (i32.const 2048)) (i32.const 0))
    ;; A stream has no position: SPIPE.
    (call $expect (call $fd_seek (i32.const 1) (i64.const 0) (i32.const 1) (i32.const 2048)) (i32.const 70))
    (call $expect (call $fd_close (i32.const 2)) (i32.const 0)))

  (func $no_files
    ;; BADF ends the scan for open folders.
    (call $expect (call $fd_prestat_get (i32.const 3) (i32.const 2048)) (i32.const 8))
    (call $expect (call $fd_write (i32.const 3) (i32.const 1100) (i32.const 1) (i32.const 2048)) (i32.const 8))
    (call $expect (call $fd_close (i32.const 3)) (i32.const 8))
    ;; NOENT
    (call $expect
      (call $path_open (i32.const 3) (i32.const 0) (i32.const 1160) (i32.const 11) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 2048))
      (i32.const 44)))

  (func $scheduler
    (call $expect (call $sched_yield) (i32.const 0))
    (i32.store (i32.const 2048) (i32.const 99))
    (call $expect (call $poll_oneoff (i32.const 3072) (i32.const 4096) (i32.const 1) (i32.const 2048)) (i32.const 0))
    ;; A clock that has come due is one event.
    (call $expect (i32.load (i32.const 2048)) (i32.const 1)))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 8)))
    (i32.const 0)))
