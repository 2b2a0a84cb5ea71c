;; Imitates: SDKs of ABI 0.2.0 (Go, Zig, older C++ and Rust).
;; A host must: give header callbacks three parameters; give the configurations as buffers 6 and 7; answer NotFound for a
;; header that does not exist; resume with proxy_continue_stream; and deliver proxy_on_foreign_function.
;;
;; A request with the header x-pause is held back until the next tick. The plugin configuration comes back in the response
;; header x-guest-configuration.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))

  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "abi_0_2_0")
  (data (i32.const 1060) "x-guest-configuration")
  (data (i32.const 1090) "x-pause")
  ;; 2048, 2052: where answers go. 2056, 2060: the plugin configuration. 4096 on: a ring of 1,024 contexts that wait, from
  ;; $first to $last.
  (global $first (mut i32) (i32.const 0))
  (global $last (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_0"))

  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (if (call $buffer (i32.const 6) (i32.const 0) (i32.const -1) (i32.const 2048) (i32.const 2052))
      (then (return (i32.const 0))))
    (i32.eq (i32.load (i32.const 2052)) (local.get 1)))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (call $buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 2056) (i32.const 2060))
      (then (return (i32.const 0))))
    (i32.eq (i32.load (i32.const 2060)) (local.get 1)))

  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $status i32)
    (local.set $status
      (call $header (i32.const 0) (i32.const 1090) (i32.const 7) (i32.const 2048) (i32.const 2052)))
    ;; NotFound: the header does not exist.
    (if (i32.eq (local.get $status) (i32.const 1)) (then (return (i32.const 0))))
    (if (local.get $status) (then unreachable))
    (i32.store (call $place (global.get $last)) (local.get 0))
    (global.set $last (i32.add (global.get $last) (i32.const 1)))
    (drop (call $tick (i32.const 5)))
    (i32.const 1))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 9)))
    (drop (call $add (i32.const 2) (i32.const 1060) (i32.const 21)
      (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))
    (i32.const 0))

  (func $place (param $index i32) (result i32)
    (i32.add (i32.const 4096) (i32.shl (i32.and (local.get $index) (i32.const 1023)) (i32.const 2))))

  (func (export "proxy_on_tick") (param i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (global.get $first) (global.get $last)))
        ;; A stream that has gone meanwhile is refused, and nothing is lost.
        (if (i32.eqz (call $effective (i32.load (call $place (global.get $first)))))
          (then (drop (call $continue (i32.const 0)))))
        (global.set $first (i32.add (global.get $first) (i32.const 1)))
        (br $next)))
    (drop (call $tick (i32.const 0))))

  ;; The arguments are buffer 8 while it runs.
  (func (export "proxy_on_foreign_function") (param i32 i32 i32)
    (if (call $buffer (i32.const 8) (i32.const 0) (i32.const -1) (i32.const 2048) (i32.const 2052))
      (then unreachable))
    (if (i32.ne (i32.load (i32.const 2052)) (local.get 2))
      (then unreachable))))
