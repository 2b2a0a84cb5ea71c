;; Imitates: a reactor with a main function, as Go and some C toolchains make it.
;; A host must: call _initialize, then main(0, 0), ignore what main returns, and call _start never, since there is an
;; _initialize.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "main_after_initialize")
  (global $heap (mut i32) (i32.const 4096))
  ;; 1 after _initialize, 2 after main.
  (global $step (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "_initialize")
    (if (global.get $step) (then unreachable))
    (global.set $step (i32.const 1)))

  (func (export "main") (param $argc i32) (param $argv i32) (result i32)
    (if (i32.ne (global.get $step) (i32.const 1)) (then unreachable))
    (if (i32.or (local.get $argc) (local.get $argv)) (then unreachable))
    (global.set $step (i32.const 2))
    ;; Not an exit code that anybody should look at.
    (i32.const 42))

  (func (export "_start")
    unreachable)

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (i32.eq (global.get $step) (i32.const 2)))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 21)))
    (i32.const 0)))
