// Makes every hostcall through the SDK, and answers with those whose result is not as it must be. The test that runs it is
// crates/testkit/tests/languages.rs: a POST to "/" with the header "x-one: 1" and the body "body", and one with "x-close".
#include "proxy_wasm.h"

using namespace proxy_wasm;

namespace {

class Root : public RootContext {
 public:
  using RootContext::RootContext;
  bool onConfigure(size_t size) override {
    upstream = getBufferBytes(Buffer::PluginConfiguration, 0, size).value.toString();
    return upstream.size() == size;
  }
  std::string upstream;
};

class Stream : public Context {
 public:
  Stream(uint32_t id, RootContext *root) : Context(id, root), root_(static_cast<Root *>(root)) {}

  Action onRequestHeaders(uint32_t count, bool) override {
    if (getRequestHeader("x-close")) {
      closeRequest();
      return Action::Pause;
    }
    auto pairs = getRequestHeaderPairs();
    expect("pairs", pairs && pairs.value.size() == count);
    expect("set pairs", setRequestHeaderPairs(pairs.value) == Status::Ok);
    expect("pairs again", getRequestHeaderPairs().value == pairs.value);
    expect("size", getHeaderMapSize(HeaderMap::RequestHeaders).value > 0);
    expect("header", getRequestHeader("x-one").value.view() == "1");
    expect("no header", getRequestHeader("x-none").status == Status::NotFound);
    expect("add", addRequestHeader("x-two", "a") == Status::Ok && addRequestHeader("x-two", "b") == Status::Ok);
    expect("added", getRequestHeader("x-two").value.view() == "a");
    expect("replace", replaceRequestHeader("x-two", "c") == Status::Ok);
    expect("replaced", getRequestHeaderPairs().value.size() == count + 1);
    expect("remove", removeRequestHeader("x-two") == Status::Ok);
    expect("removed", getRequestHeader("x-two").status == Status::NotFound);
    return Action::Continue;
  }

  Action onRequestBody(size_t size, bool end_of_stream) override {
    if (!end_of_stream) return Action::Pause;
    auto status = getBufferStatus(Buffer::HttpRequestBody);
    expect("buffer status", status && status.value.first == size && size == 4);
    expect("buffer", getBufferBytes(Buffer::HttpRequestBody, 1, 2).value.view() == "od");
    expect("set buffer", setBuffer(Buffer::HttpRequestBody, 0, SIZE_MAX, "another") == Status::Ok);
    expect("buffer again", getBufferBytes(Buffer::HttpRequestBody).value.view() == "another");
    pairs();
    simple();
    shared();
    metrics();
    grpc();
    older();
    expect("no upstream", httpCall("nobody", head(), "", {}, 5000).status == Status::BadArgument);
    expect("call", bool(httpCall(root_->upstream, head(), "asked", {}, 5000)));
    return Action::Pause;
  }

  void onHttpCallResponse(uint32_t, uint32_t headers, size_t size, uint32_t) override {
    expect("answer", headers > 0);
    expect("status", getHeaderMapValue(HeaderMap::HttpCallResponseHeaders, ":status").value.view() == "200");
    expect("answer's body", getBufferBytes(Buffer::HttpCallResponseBody).value.view().size() == size);
    expect("call's status", getStatus().first.status == Status::Ok);
    sendLocalResponse(200, "details", faults_.empty() ? "all as it must be\n" : faults_, {});
  }

 private:
  static Pairs head() {
    return {{":method", "POST"}, {":path", "/asked"}, {":authority", "tests"}};
  }

  // What is no pairs is not taken for some.
  void pairs() {
    Pairs pairs = {{"a", "1"}, {"", ""}, {"b", std::string("\0\xff", 2)}};
    std::string bytes = serialize(pairs);
    expect("deserialize", deserialize(bytes) == pairs);
    for (size_t size = 1; size < bytes.size(); size++) {
      expect("cut pairs", !deserialize(std::string_view(bytes).substr(0, size)));
    }
    expect("many pairs", !deserialize(std::string(64, '\xff')));
  }

  void simple() {
    expect("log", logTrace("t") == Status::Ok && logDebug("d") == Status::Ok && logInfo("i") == Status::Ok);
    expect("log level", getLogLevel().status == Status::Ok);
    expect("time", getCurrentTimeNanoseconds().value > 1'500'000'000'000'000'000);
    expect("tick", setTickPeriodMilliseconds(0) == Status::Ok);
    expect("context", setEffectiveContext(id()) == Status::Ok);
    expect("no context", setEffectiveContext(123456) == Status::BadArgument);
    // Nothing is deferred, so that nothing happens.
    expect("done", done() == Status::Ok);
    expect("property", getProperty({"request", "path"}).value.view() == "/");
    expect("no property", getProperty({"no", "property"}).status == Status::NotFound);
    expect("set property", setProperty({"tests", "one"}, "1") == Status::Ok);
    expect("property again", getProperty({"tests", "one"}).value.view() == "1");
    expect("continue", continueRequest() == Status::Ok);
    expect("foreign", callForeignFunction("no_such_function", "x").status == Status::NotFound);
  }

  void shared() {
    expect("no data", getSharedData("cpp.none").status == Status::NotFound);
    expect("set data", setSharedData("cpp.key", "one") == Status::Ok);
    auto data = getSharedData("cpp.key");
    expect("data", data.value.data.view() == "one" && data.value.cas != 0);
    expect("compare", setSharedData("cpp.key", "two", data.value.cas) == Status::Ok);
    expect("mismatch", setSharedData("cpp.key", "three", data.value.cas) == Status::CasMismatch);
    auto queue = registerSharedQueue("cpp.queue");
    expect("queue", bool(queue));
    expect("resolve", resolveSharedQueue("", "cpp.queue").value == queue.value);
    expect("enqueue", enqueueSharedQueue(queue.value, "value") == Status::Ok);
    expect("dequeue", dequeueSharedQueue(queue.value).value.view() == "value");
    expect("empty", dequeueSharedQueue(queue.value).status == Status::Empty);
  }

  void metrics() {
    auto counter = defineMetric(MetricType::Counter, "cpp.counter");
    auto gauge = defineMetric(MetricType::Gauge, "cpp.gauge");
    auto before = getMetric(counter.value).value;
    expect("increment", incrementMetric(counter.value, 3) == Status::Ok);
    expect("counter", getMetric(counter.value).value == before + 3);
    expect("record", recordMetric(gauge.value, 1ull << 40) == Status::Ok);
    expect("lower", incrementMetric(gauge.value, -1) == Status::Ok);
    expect("gauge", getMetric(gauge.value).value == (1ull << 40) - 1);
  }

  // No proxy has a transport for gRPC: what is asked for is refused.
  void grpc() {
    expect("grpc call", !grpcCall("nobody", "service", "method", {}, "message", 1000));
    expect("grpc stream", !grpcStream("nobody", "service", "method", {}));
    expect("grpc send", grpcSend(123456, "message", true) != Status::Ok);
    expect("grpc cancel", grpcCancel(123456) != Status::Ok);
    expect("grpc close", grpcClose(123456) != Status::Ok);
  }

  void older() {
    uint8_t *data = nullptr;
    size_t size = 0;
    // No configuration is to be had in this callback.
    abi::proxy_get_configuration(&data, &size);
    WasmData configuration(data, size);
    expect("continue request", abi::proxy_continue_request() == Status::Ok);
    expect("continue response", abi::proxy_continue_response() == Status::Ok);
    expect("clear route cache", abi::proxy_clear_route_cache() == Status::Ok);
  }

  void expect(std::string_view what, bool as_it_must_be) {
    if (!as_it_must_be) faults_.append(what).append("\n");
  }

  Root *root_;
  std::string faults_;
};

}  // namespace

PROXY_WASM_FILTER(Root, Stream)
