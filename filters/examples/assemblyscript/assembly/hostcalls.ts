// Hostcalls that @solo-io/proxy-runtime 0.1.8 gets wrong or leaves out: its get_shared_data() gives the host no place for the
// value, its set_shared_data() has no value at all, its get_metric() records, and nothing replaces a body.
import {
  proxy_get_metric, proxy_get_shared_data, proxy_set_shared_data,
} from "@solo-io/proxy-runtime/imports";
import { free } from "@solo-io/proxy-runtime/malloc";
import { BufferTypeValues, Reference, WasmResultValues } from "@solo-io/proxy-runtime/runtime";

// @ts-ignore: decorator
@external("env", "proxy_set_buffer_bytes")
declare function proxy_set_buffer_bytes(buffer: u32, start: u32, length: u32, data: usize, size: usize): u32;

export class Shared {
  // Empty if there is none.
  value: string = "";
  // 0, which sets without comparing, if there is none.
  cas: u32 = 0;
}

export function get_shared_data(key: string): Shared {
  const name = String.UTF8.encode(key);
  const data = new Reference<usize>(), size = new Reference<usize>(), cas = new Reference<u32>();
  const result = proxy_get_shared_data(
    changetype<usize>(name), name.byteLength, data.ptr(), size.ptr(), cas.ptr());
  const shared = new Shared();
  if (result == WasmResultValues.Ok) {
    shared.cas = cas.data;
    if (size.data > 0) {
      shared.value = String.UTF8.decodeUnsafe(data.data, size.data);
      // The host made it with the SDK's malloc().
      free(data.data);
    }
  }
  return shared;
}

export function set_shared_data(key: string, value: string, cas: u32): WasmResultValues {
  const name = String.UTF8.encode(key), bytes = String.UTF8.encode(value);
  return proxy_set_shared_data(
    changetype<usize>(name), name.byteLength, changetype<usize>(bytes), bytes.byteLength, cas);
}

export function get_metric(metric: u32): u64 {
  const value = new Reference<u64>();
  proxy_get_metric(metric, value.ptr());
  return value.data;
}

// Replaces the whole body held back.
export function set_response_body(body: Array<u8>): void {
  proxy_set_buffer_bytes(BufferTypeValues.HttpResponseBody, 0, u32.MAX_VALUE, body.dataStart, body.length);
}
