// The tour of Proxy-Wasm, in AssemblyScript: what each part does is in filters/examples/README.md.
export * from "@solo-io/proxy-runtime/proxy";
import {
  BufferTypeValues, Context, Counter, FilterDataStatusValues, FilterHeadersStatusValues, FilterTrailersStatusValues,
  GrpcStatusValues, HeaderPair, Headers, LogLevelValues, RootContext, WasmResultValues, get_buffer_bytes, log,
  registerRootContext, send_local_response, set_tick_period_milliseconds, stream_context,
} from "@solo-io/proxy-runtime/runtime";
import { get_metric, get_shared_data, set_response_body, set_shared_data } from "./hostcalls";

const LANGUAGE = "assemblyscript";
const TICKS = "tour.ticks";

class Root extends RootContext {
  // The upstream that /ask asks.
  upstream: string = "";
  // The counter of requests.
  requests: u32 = 0;

  createContext(context_id: u32): Context {
    return new Stream(context_id, this);
  }

  // Not getConfiguration() of the SDK: its onConfigure() loses the first configuration of a VM.
  onConfigure(configuration_size: u32): bool {
    this.upstream = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.PluginConfiguration, 0, configuration_size));
    if (this.upstream.length == 0) {
      log(LogLevelValues.error, "configuration refused: it must be the name of an upstream");
      return false;
    }
    this.requests = new Counter("tour.requests").metric_id;
    set_tick_period_milliseconds(100);
    return true;
  }

  onTick(): void {
    const shared = get_shared_data(TICKS);
    const ticks = shared.value.length > 0 ? U64.parseInt(shared.value) : 0;
    const result = set_shared_data(TICKS, (ticks + 1).toString(), shared.cas);
    // At a mismatch another VM was faster: its tick counts.
    if (result != WasmResultValues.Ok && result != WasmResultValues.CasMismatch) {
      log(LogLevelValues.warn, "the tick cannot be counted: " + result.toString());
    }
  }
}

class Stream extends Context {
  root: Root;

  constructor(context_id: u32, root: Root) {
    super(context_id, root);
    this.root = root;
  }

  onRequestHeaders(headers: u32, end_of_stream: bool): FilterHeadersStatusValues {
    const request = stream_context.headers.request;
    new Counter("tour.requests").increment(1);
    request.replace("x-tour", LANGUAGE);
    // Text in a compressed body cannot be found.
    request.remove("accept-encoding");
    const path = request.get(":path");
    if (path.startsWith("/private")) {
      const fields: Headers = [pair("x-tour", LANGUAGE)];
      send_local_response(403, "", String.UTF8.encode("private\n"), fields, GrpcStatusValues.Ok);
      return FilterHeadersStatusValues.StopIteration;
    }
    return path.startsWith("/ask") ? this.ask() : FilterHeadersStatusValues.Continue;
  }

  onResponseHeaders(headers: u32, end_of_stream: bool): FilterHeadersStatusValues {
    const response = stream_context.headers.response;
    response.replace("x-tour", LANGUAGE);
    response.replace("x-tour-requests", get_metric(this.root.requests).toString());
    const ticks = get_shared_data(TICKS).value;
    if (ticks.length > 0) {
      response.replace("x-tour-ticks", ticks);
    }
    // The body may get another length.
    response.remove("content-length");
    return FilterHeadersStatusValues.Continue;
  }

  onResponseBody(size: usize, end_of_stream: bool): FilterDataStatusValues {
    if (!end_of_stream) {
      return FilterDataStatusValues.StopIterationAndBuffer;
    }
    rewrite();
    return FilterDataStatusValues.Continue;
  }

  onResponseTrailers(trailers: u32): FilterTrailersStatusValues {
    // With trailers, it is they that end the message; the body held back is still there.
    rewrite();
    return FilterTrailersStatusValues.Continue;
  }

  // Asks the upstream and holds the request back until it has answered.
  ask(): FilterHeadersStatusValues {
    const headers: Headers = [
      pair(":method", "GET"), pair(":path", "/asked"), pair(":authority", "tour"), pair("x-tour", LANGUAGE),
    ];
    const result = this.root.httpCall(this.root.upstream, headers, new ArrayBuffer(0), [], 5000, this,
      (origin: Context, headers: u32, size: usize, trailers: u32) => {
        // A call that failed has no headers at all.
        const status = headers == 0 ? "none" : stream_context.headers.http_callback.get(":status");
        stream_context.headers.request.replace("x-tour-answer", status);
        origin.continueRequest();
      });
    if (result != WasmResultValues.Ok) {
      log(LogLevelValues.warn, "upstream " + this.root.upstream + " cannot be asked: " + result.toString());
      return FilterHeadersStatusValues.Continue;
    }
    return FilterHeadersStatusValues.StopIteration;
  }
}

function pair(name: string, value: string): HeaderPair {
  return new HeaderPair(String.UTF8.encode(name), String.UTF8.encode(value));
}

// Byte for byte: a body need not be UTF-8.
function rewrite(): void {
  const body = Uint8Array.wrap(get_buffer_bytes(BufferTypeValues.HttpResponseBody, 0, u32.MAX_VALUE));
  const find = Uint8Array.wrap(String.UTF8.encode("hedgehog"));
  const replace = Uint8Array.wrap(String.UTF8.encode("porcupine"));
  const rewritten = new Array<u8>();
  let place = 0;
  while (place < body.length) {
    if (begins(body, place, find)) {
      for (let index = 0; index < replace.length; index++) {
        rewritten.push(replace[index]);
      }
      place += find.length;
    } else {
      rewritten.push(body[place]);
      place++;
    }
  }
  set_response_body(rewritten);
}

function begins(body: Uint8Array, place: i32, find: Uint8Array): bool {
  if (body.length - place < find.length) {
    return false;
  }
  for (let index = 0; index < find.length; index++) {
    if (body[place + index] != find[index]) {
      return false;
    }
  }
  return true;
}

registerRootContext((context_id: u32) => { return new Root(context_id); }, "");
