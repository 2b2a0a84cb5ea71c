;; Imitates: Zig and Rust for wasm32-freestanding / wasm32-unknown-unknown. No WASI, no start function of any kind, an
;; allocator called malloc.
;; A host must: run it without looking for something to start.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "freestanding")
  (global $heap (mut i32) (i32.const 4096))

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 12)))
    (i32.const 0)))
