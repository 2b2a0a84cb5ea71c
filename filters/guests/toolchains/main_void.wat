;; Imitates: a reactor whose main takes no arguments, which C compilers call __main_void.
;; A host must: call _initialize, then __main_void, and ignore what it returns.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "main_void")
  (global $heap (mut i32) (i32.const 4096))
  ;; 1 after _initialize, 2 after __main_void.
  (global $step (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "_initialize")
    (if (global.get $step) (then unreachable))
    (global.set $step (i32.const 1)))

  (func (export "__main_void") (result i32)
    (if (i32.ne (global.get $step) (i32.const 1)) (then unreachable))
    (global.set $step (i32.const 2))
    (i32.const 1))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (i32.eq (global.get $step) (i32.const 2)))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 9)))
    (i32.const 0)))
