// The tour of Proxy-Wasm, in C++: what each part does is in filters/examples/README.md.
#include <charconv>

#include "proxy_wasm.h"

using namespace proxy_wasm;

namespace {

constexpr std::string_view kLanguage = "cpp";
constexpr std::string_view kTicks = "tour.ticks";

class Root : public RootContext {
 public:
  using RootContext::RootContext;

  bool onConfigure(size_t) override {
    upstream_ = getBufferBytes(Buffer::PluginConfiguration).value.toString();
    if (upstream_.empty()) {
      logError("configuration refused: it must be the name of an upstream");
      return false;
    }
    auto requests = defineMetric(MetricType::Counter, "tour.requests");
    if (!requests) {
      logError("the counter cannot be defined");
      return false;
    }
    requests_ = requests.value;
    return setTickPeriodMilliseconds(100) == Status::Ok;
  }

  void onTick() override {
    // No value yet: zero ticks, and a cas of 0, which sets without comparing.
    auto shared = getSharedData(kTicks);
    std::string_view text = shared.value.data.view();
    uint64_t ticks = 0;
    std::from_chars(text.data(), text.data() + text.size(), ticks);
    Status status = setSharedData(kTicks, std::to_string(ticks + 1), shared.value.cas);
    // At a mismatch another VM was faster: its tick counts.
    if (status != Status::Ok && status != Status::CasMismatch) logWarn("the tick cannot be counted");
  }

  // The upstream that /ask asks.
  const std::string &upstream() const { return upstream_; }
  // The counter of requests.
  uint32_t requests() const { return requests_; }

 private:
  std::string upstream_;
  uint32_t requests_ = 0;
};

class Stream : public Context {
 public:
  Stream(uint32_t id, RootContext *root) : Context(id, root), root_(static_cast<Root *>(root)) {}

  Action onRequestHeaders(uint32_t, bool) override {
    incrementMetric(root_->requests(), 1);
    replaceRequestHeader("x-tour", kLanguage);
    // Text in a compressed body cannot be found.
    removeRequestHeader("accept-encoding");
    auto path = getRequestHeader(":path");
    if (path.value.view().rfind("/private", 0) == 0) {
      sendLocalResponse(403, "", "private\n", {{"x-tour", std::string(kLanguage)}});
      return Action::Pause;
    }
    if (path.value.view().rfind("/ask", 0) == 0) return ask();
    return Action::Continue;
  }

  Action onResponseHeaders(uint32_t, bool) override {
    replaceResponseHeader("x-tour", kLanguage);
    replaceResponseHeader("x-tour-requests", std::to_string(getMetric(root_->requests()).value));
    if (auto ticks = getSharedData(kTicks)) replaceResponseHeader("x-tour-ticks", ticks.value.data.view());
    // The body may get another length.
    removeResponseHeader("content-length");
    return Action::Continue;
  }

  Action onResponseBody(size_t, bool end_of_stream) override {
    if (!end_of_stream) return Action::Pause;
    rewrite();
    return Action::Continue;
  }

  Action onResponseTrailers(uint32_t) override {
    // With trailers, it is they that end the message; the body held back is still there.
    rewrite();
    return Action::Continue;
  }

  void onHttpCallResponse(uint32_t, uint32_t headers, size_t, uint32_t) override {
    // A call that failed has no headers at all.
    auto status = getHeaderMapValue(HeaderMap::HttpCallResponseHeaders, ":status");
    replaceRequestHeader("x-tour-answer", headers == 0 ? "none" : status.value.view());
    continueRequest();
  }

 private:
  // Asks the upstream and holds the request back until it has answered.
  Action ask() {
    Pairs headers = {
        {":method", "GET"}, {":path", "/asked"}, {":authority", "tour"}, {"x-tour", std::string(kLanguage)}};
    if (httpCall(root_->upstream(), headers, "", {}, 5000)) return Action::Pause;
    logWarn("upstream " + root_->upstream() + " cannot be asked");
    return Action::Continue;
  }

  void rewrite() {
    constexpr std::string_view find = "hedgehog", replace = "porcupine";
    auto body = getBufferBytes(Buffer::HttpResponseBody);
    if (!body) return;
    std::string text = body.value.toString();
    for (size_t place = text.find(find); place != std::string::npos; place = text.find(find, place + replace.size())) {
      text.replace(place, find.size(), replace);
    }
    setBuffer(Buffer::HttpResponseBody, 0, SIZE_MAX, text);
  }

  Root *root_;
};

}  // namespace

PROXY_WASM_FILTER(Root, Stream)
