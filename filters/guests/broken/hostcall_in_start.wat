;; Wrong: its _initialize stores shared data, when there is no plugin yet that it could act for.
;; A host must: stop it (in start functions only WASI and proxy_log are open), and name the hostcall.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_shared_data"
    (func $set_shared_data (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "hostcall_in_start")
  (global $heap (mut i32) (i32.const 4096))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "_initialize")
    (drop (call $set_shared_data
      (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 1) (i32.const 0))))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 17)))
    (i32.const 0)))
