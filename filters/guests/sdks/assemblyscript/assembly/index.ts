// A guest of the AssemblyScript SDK that goes to each limit of the host at each request, and answers with the number of requests
// that it has survived. The SDK throws on statuses that it does not expect.
export * from "@solo-io/proxy-runtime/proxy";
import {
  RootContext, Context, registerRootContext, FilterHeadersStatusValues, LogLevelValues, GrpcStatusValues,
  HeaderPair, Headers, Counter, log, send_local_response,
} from "@solo-io/proxy-runtime";
import { set_property, set_tick_period_milliseconds } from "@solo-io/proxy-runtime/runtime";

let survived: i32 = 0;

class Root extends RootContext {
  createContext(context_id: u32): Context {
    return new Stream(context_id, this);
  }
}

class Stream extends Context {
  constructor(context_id: u32, root_context: Root) {
    super(context_id, root_context);
  }

  onRequestHeaders(a: u32, end_of_stream: bool): FilterHeadersStatusValues {
    for (let number = 0; number < 10100; number++) {
      new Counter("as." + number.toString()).increment(1);
    }
    set_tick_period_milliseconds(3600000);
    const mebibyte = new ArrayBuffer(1 << 20);
    for (let number = 0; number < 70; number++) {
      set_property("note-" + number.toString(), mebibyte);
      log(LogLevelValues.warn, "x".repeat(64 << 10));
    }
    const lines: Headers = new Array<HeaderPair>();
    for (let number = 0; number < 1100; number++) {
      lines.push(new HeaderPair(String.UTF8.encode("x-" + number.toString()), String.UTF8.encode("v")));
    }
    const body = new ArrayBuffer(0);
    for (let number = 0; number < 20; number++) {
      this.root_context.httpCall("silent", lines, mebibyte, [], 1000, this,
        (context: Context, headers: u32, size: usize, trailers: u32) => {});
    }
    survived++;
    send_local_response(200, "", String.UTF8.encode(survived.toString()), [], GrpcStatusValues.Ok);
    return FilterHeadersStatusValues.StopIteration;
  }
}

registerRootContext((context_id: u32) => { return new Root(context_id); }, "limits");
