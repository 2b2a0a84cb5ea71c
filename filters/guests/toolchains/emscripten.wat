;; Imitates: the C++ SDK, built with emscripten as a standalone reactor. It imports what emscripten's libraries need and
;; proxy_* functions that it never calls; its only allocator is malloc; constructors run in _initialize; malloc grows the
;; memory in the middle of a hostcall and tells the host so.
;; A host must: offer emscripten_notify_memory_growth and pthread_equal, accept imports of every ABI version whatever the
;; marker says, call _initialize before anything else, and look at memory afresh after each allocation.
(module
  (import "env" "emscripten_notify_memory_growth" (func $notify (param i32)))
  (import "env" "pthread_equal" (func $pthread_equal (param i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
  ;; Never called: the SDK declares them, and this linker kept them.
  (import "env" "proxy_get_configuration" (func (param i32 i32) (result i32)))
  (import "env" "proxy_clear_route_cache" (func (result i32)))
  (import "env" "proxy_continue_request" (func (result i32)))
  (import "env" "proxy_continue_response" (func (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))

  (memory (export "memory") 1)
  (table (export "__indirect_function_table") 1 1 funcref)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "emscripten")
  (global $ready (mut i32) (i32.const 0))
  ;; Eight bytes below the end of memory: the first allocation of any size must grow it.
  (global $heap (mut i32) (i32.const 65528))
  (global $stack (mut i32) (i32.const 1024))

  (func (export "proxy_abi_version_0_2_1"))

  (func $constructors
    (global.set $ready (i32.const 1)))

  (func (export "_initialize")
    (call $constructors))

  (func (export "malloc") (param $size i32) (result i32)
    (local $pointer i32)
    (local.set $pointer (global.get $heap))
    (global.set $heap
      (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (if (i32.eq (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1))) (i32.const -1))
          (then (return (i32.const 0))))
        (call $notify (i32.const 0))))
    (local.get $pointer))

  (func (export "free") (param i32))
  (func (export "stackSave") (result i32) (global.get $stack))
  (func (export "stackRestore") (param i32) (global.set $stack (local.get 0)))
  (func (export "stackAlloc") (param i32) (result i32)
    (global.set $stack (i32.sub (global.get $stack) (local.get 0)))
    (global.get $stack))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    ;; Constructors have run, and threads are told apart by their number.
    (i32.and
      (global.get $ready)
      (i32.and
        (call $pthread_equal (i32.const 5) (i32.const 5))
        (i32.eqz (call $pthread_equal (i32.const 5) (i32.const 6))))))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    ;; The answer needs an allocation, which grows the memory and may move it.
    (if (call $pairs (i32.const 0) (i32.const 2048) (i32.const 2052))
      (then unreachable))
    ;; What the host wrote must be in the memory as it is now: the number of pairs, which is not 0.
    (if (i32.eqz (i32.load (i32.load (i32.const 2048))))
      (then unreachable))
    (i32.const 0))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 10)))
    (i32.const 0)))
