//! Guests that do one thing.
//!
//! Their header callback takes the number of headers for the number of times to do it, so that a bench can divide the
//! cost of a hostcall from that of entering the guest. The allocator gives the same block each time: only one result
//! is alive at once.

/// Returns at once.
pub const EMPTY: &str = r#"
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) i32.const 0))
"#;

/// `proxy_get_header_map_value` of the tenth header.
pub const GET_VALUE: &str = r#"
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-header-10")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_request_headers") (param $id i32) (param $times i32) (param i32) (result i32)
    (loop $again
      (if (call $get (i32.const 0) (i32.const 16) (i32.const 11) (i32.const 0) (i32.const 4))
        (then unreachable))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $times) (i32.const 0))))
    i32.const 0))
"#;

/// `proxy_get_header_map_pairs` of twenty headers.
pub const GET_PAIRS: &str = r#"
(module
  (import "env" "proxy_get_header_map_pairs" (func $get (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_request_headers") (param $id i32) (param $times i32) (param i32) (result i32)
    (loop $again
      (if (call $get (i32.const 0) (i32.const 0) (i32.const 4))
        (then unreachable))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $times) (i32.const 0))))
    i32.const 0))
"#;

/// `proxy_set_shared_data` of one key, unconditionally, eight bytes.
pub const SET_SHARED_DATA: &str = r#"
(module
  (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "counter")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 4096)
  (func (export "proxy_on_request_headers") (param $id i32) (param $times i32) (param i32) (result i32)
    (loop $again
      (if (call $set (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 8) (i32.const 0))
        (then unreachable))
      (local.set $times (i32.sub (local.get $times) (i32.const 1)))
      (br_if $again (i32.gt_s (local.get $times) (i32.const 0))))
    i32.const 0))
"#;
