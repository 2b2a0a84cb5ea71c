;; Imitates: ABI 0.1.0 as its SDKs link it, where continuing a stream returns a status.
;; A host must: give header callbacks two parameters; give the VM configuration from proxy_get_configuration in
;; proxy_on_vm_start and the plugin's in proxy_on_configure; answer Ok and empty for a header that does not exist; offer
;; proxy_continue_request, proxy_continue_response and proxy_clear_route_cache as this module imports them: with a result.
;;
;; A request with the header x-pause is held back, and so is its response, each until the next tick. The plugin
;; configuration comes back in the response header x-guest-configuration.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_header_map_value"
    (func $header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_configuration" (func $configuration (param i32 i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_continue_request" (func $continue_request (result i32)))
  (import "env" "proxy_continue_response" (func $continue_response (result i32)))
  (import "env" "proxy_clear_route_cache" (func $clear_route_cache (result i32)))

  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "abi_0_1_0")
  (data (i32.const 1060) "x-guest-configuration")
  (data (i32.const 1090) "x-pause")
  ;; 2048, 2052: where answers go. 2056, 2060: the plugin configuration. 4096 on: a ring of 1,024 contexts that wait, from
  ;; $first to $last.
  (global $first (mut i32) (i32.const 0))
  (global $last (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_1_0"))

  (func (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
    (if (call $configuration (i32.const 2048) (i32.const 2052)) (then (return (i32.const 0))))
    ;; As long as announced.
    (i32.eq (i32.load (i32.const 2052)) (local.get 1)))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (call $configuration (i32.const 2056) (i32.const 2060)) (then (return (i32.const 0))))
    (i32.eq (i32.load (i32.const 2060)) (local.get 1)))

  ;; Two parameters: context and number of headers. No end_of_stream.
  (func (export "proxy_on_request_headers") (param i32 i32) (result i32)
    (drop (call $clear_route_cache))
    (call $pause_if_asked (local.get 0)))

  (func (export "proxy_on_response_headers") (param i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 9)))
    (drop (call $add (i32.const 2) (i32.const 1060) (i32.const 21)
      (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))
    (call $pause_if_asked (local.get 0)))

  (func $pause_if_asked (param $context i32) (result i32)
    ;; Ok in any case: in this version a header that does not exist is empty.
    (if (call $header (i32.const 0) (i32.const 1090) (i32.const 7) (i32.const 2048) (i32.const 2052))
      (then unreachable))
    (if (i32.eqz (i32.load (i32.const 2052))) (then (return (i32.const 0))))
    (i32.store (call $place (global.get $last)) (local.get $context))
    (global.set $last (i32.add (global.get $last) (i32.const 1)))
    (drop (call $tick (i32.const 5)))
    (i32.const 1))

  (func $place (param $index i32) (result i32)
    (i32.add (i32.const 4096) (i32.shl (i32.and (local.get $index) (i32.const 1023)) (i32.const 2))))

  (func (export "proxy_on_tick") (param i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (global.get $first) (global.get $last)))
        ;; A stream that has gone meanwhile is refused, and nothing is lost.
        (if (i32.eqz (call $effective (i32.load (call $place (global.get $first)))))
          (then
            (drop (call $continue_request))
            (drop (call $continue_response))))
        (global.set $first (i32.add (global.get $first) (i32.const 1)))
        (br $next)))
    (drop (call $tick (i32.const 0)))))
