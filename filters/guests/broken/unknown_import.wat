;; Wrong: it imports functions that no ABI version and no WASI has.
;; A host must: refuse it when it is loaded, and name all three, not only the first.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_no_such_call" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "no_such_function" (func (result i32)))
  (import "elsewhere" "anything" (func))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "unknown_import")
  (global $heap (mut i32) (i32.const 4096))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 14)))
    (i32.const 0)))
