;; Wrong: it exports neither proxy_on_memory_allocate nor malloc, so the host cannot give it any answer.
;; A host must: refuse it when it is loaded, and name both.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "x-guest")
  (data (i32.const 1040) "no_allocator")

  (func (export "proxy_abi_version_0_2_1"))

  (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
    (drop (call $add (i32.const 2) (i32.const 1024) (i32.const 7) (i32.const 1040) (i32.const 12)))
    (i32.const 0)))
