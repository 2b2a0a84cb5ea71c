;; Logs 200 warnings of 1000 bytes at each request. Each begins with the number of lines before it, as sixteen letters a to p.
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $said (mut i64) (i64.const 0))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 4096)
  (func $number
    (local $at i32) (local $left i64)
    (local.set $at (i32.const 15))
    (local.set $left (global.get $said))
    (loop $next
      (i32.store8 (local.get $at)
        (i32.add (i32.const 97) (i32.wrap_i64 (i64.and (local.get $left) (i64.const 15)))))
      (local.set $left (i64.shr_u (local.get $left) (i64.const 4)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $next (i32.ge_s (local.get $at) (i32.const 0)))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (memory.fill (i32.const 16) (i32.const 46) (i32.const 984))
    (loop $again
      (call $number)
      (drop (call $log (i32.const 3) (i32.const 0) (i32.const 1000)))
      (global.set $said (i64.add (global.get $said) (i64.const 1)))
      (br_if $again
        (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 200))))
    i32.const 0))
