;; Imitates: the AssemblyScript SDK with its compiler of that time. WASI under the name wasi_unstable, a start section
;; that runs code and prints, env.abort for failed assertions, exports of the language's runtime.
;; A host must: offer WASI under that name too, let a start section call it, answer Ok (not NotFound) for an empty
;; configuration and for the property plugin_root_id, and offer abort(message, file, line, column).
(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_clear_route_cache" (func (result i32)))
  (import "wasi_unstable" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func (param i32)))

  (memory (export "memory") 1)
  (global (export "__rtti_base") i32 (i32.const 512))
  (global $started (mut i32) (i32.const 0))
  (global $heap (mut i32) (i32.const 8192))
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "assemblyscript")
  (data (i32.const 1060) "plugin_root_id")
  ;; One vector for fd_write: the text and its length.
  (data (i32.const 1100) "\70\04\00\00\0e\00\00\00")
  (data (i32.const 1136) "start section\n")
  ;; Strings of the language: UTF-16, the length in bytes lies before them.
  (data (i32.const 1200) "\10\00\00\00b\00a\00d\00 \00h\00o\00s\00t\00")
  (data (i32.const 1240) "\10\00\00\00g\00u\00e\00s\00t\00.\00t\00s\00")

  (start $start)
  (func $start
    (global.set $started (i32.const 1))
    (if (call $fd_write (i32.const 1) (i32.const 1100) (i32.const 1) (i32.const 1120))
      (then (call $abort (i32.const 1204) (i32.const 1244) (i32.const 1) (i32.const 1)))))

  (func (export "proxy_abi_version_0_2_1"))

  (func $malloc (export "malloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))

  (func (export "__alloc") (param $size i32) (param $id i32) (result i32)
    (call $malloc (local.get $size)))
  (func (export "__retain") (param i32) (result i32) (local.get 0))
  (func (export "__release") (param i32))
  (func (export "__collect"))

  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (if (i32.eqz (global.get $started))
      (then (call $abort (i32.const 1204) (i32.const 1244) (i32.const 2) (i32.const 1))))
    ;; Both must be Ok even where there is nothing to return.
    (if (call $buffer (i32.const 7) (i32.const 0) (i32.const -1) (i32.const 2048) (i32.const 2052))
      (then (call $abort (i32.const 1204) (i32.const 1244) (i32.const 3) (i32.const 1))))
    (if (call $property (i32.const 1060) (i32.const 14) (i32.const 2048) (i32.const 2052))
      (then (call $abort (i32.const 1204) (i32.const 1244) (i32.const 4) (i32.const 1))))
    (i32.const 1))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 14)))
    (i32.const 0)))
