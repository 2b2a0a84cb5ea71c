;; Imitates: the Go SDK built with TinyGo. A command, not a reactor: _start runs the runtime and main, and ends with
;; proc_exit(0). The marker is 0_2_0, the only allocator malloc.
;; A host must: call _start (there is no _initialize), take proc_exit(0) in it for a good end and not for a crash, and go
;; on to use the instance.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

  (memory (export "memory") 2)
  (global $ready (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "tinygo")
  (data (i32.const 1056) "main")

  (func (export "proxy_abi_version_0_2_0"))

  (func (export "_start")
    ;; The runtime: a seed for maps, a time to start from.
    (if (call $random (i32.const 2048) (i32.const 8)) (then unreachable))
    (if (call $clock (i32.const 1) (i64.const 1000) (i32.const 2056)) (then unreachable))
    ;; main
    (drop (call $log (i32.const 2) (i32.const 1056) (i32.const 4)))
    (global.set $ready (i32.const 1))
    (call $exit (i32.const 0))
    ;; proc_exit does not return.
    unreachable)

  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))
  (func (export "free") (param i32))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (global.get $ready))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 6)))
    (i32.const 0)))
