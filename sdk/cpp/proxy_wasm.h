// Proxy-Wasm for filters in C++: one header, made to be copied. C++17, no exceptions, no RTTI needed.
//
// A filter derives from RootContext and Context, as with the official C++ SDK, and names both once in one source file:
//
//   class Root : public proxy_wasm::RootContext { ... };
//   class Stream : public proxy_wasm::Context { ... };
//   PROXY_WASM_FILTER(Root, Stream)
//
// A host has one root context for each configuration of the filter, and one context for each request or TCP connection.
// Build it as a reactor for wasm32-wasi; the command is in README.md beside this file.
//
// ABI 0.2.1. Hostcalls of the older 0.1.0 are at the end of namespace `abi`; import them only where the host has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace proxy_wasm {

// What a hostcall returns.
enum class Status : uint32_t {
  Ok = 0,
  NotFound = 1,
  BadArgument = 2,
  SerializationFailure = 3,
  ParseFailure = 4,
  BadExpression = 5,
  InvalidMemoryAccess = 6,
  Empty = 7,
  CasMismatch = 8,
  ResultMismatch = 9,
  InternalFailure = 10,
  BrokenConnection = 11,
  Unimplemented = 12,
};

enum class LogLevel : uint32_t { Trace, Debug, Info, Warn, Error, Critical };

// What a callback of a message returns: the host goes on with the message, or holds it back until continue...() or, for a
// body, until the callback is called again with all that is held back and more.
enum class Action : uint32_t { Continue = 0, Pause = 1 };

enum class HeaderMap : uint32_t {
  RequestHeaders = 0,
  RequestTrailers = 1,
  ResponseHeaders = 2,
  ResponseTrailers = 3,
  GrpcReceiveInitialMetadata = 4,
  GrpcReceiveTrailingMetadata = 5,
  HttpCallResponseHeaders = 6,
  HttpCallResponseTrailers = 7,
};

enum class Buffer : uint32_t {
  HttpRequestBody = 0,
  HttpResponseBody = 1,
  DownstreamData = 2,
  UpstreamData = 3,
  HttpCallResponseBody = 4,
  GrpcReceive = 5,
  VmConfiguration = 6,
  PluginConfiguration = 7,
  ForeignFunctionArguments = 8,
};

enum class StreamType : uint32_t { HttpRequest = 0, HttpResponse = 1, Downstream = 2, Upstream = 3 };
enum class MetricType : uint32_t { Counter = 0, Gauge = 1, Histogram = 2 };
enum class PeerType : uint32_t { Unknown = 0, Local = 1, Remote = 2 };

// Of gRPC; None in sendLocalResponse() means that the response is no gRPC response.
enum class GrpcStatus : int32_t {
  None = -1, Ok = 0, Canceled = 1, Unknown = 2, InvalidArgument = 3, DeadlineExceeded = 4, NotFound = 5, AlreadyExists = 6,
  PermissionDenied = 7, ResourceExhausted = 8, FailedPrecondition = 9, Aborted = 10, OutOfRange = 11, Unimplemented = 12,
  Internal = 13, Unavailable = 14, DataLoss = 15, Unauthenticated = 16,
};

// The hostcalls as the ABI has them. The rest of this header wraps each in types.
namespace abi {
#define PROXY_WASM_IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))
using Out = uint8_t *;
PROXY_WASM_IMPORT(proxy_log) Status proxy_log(LogLevel, const char *, size_t);
PROXY_WASM_IMPORT(proxy_get_log_level) Status proxy_get_log_level(LogLevel *);
PROXY_WASM_IMPORT(proxy_get_current_time_nanoseconds) Status proxy_get_current_time_nanoseconds(uint64_t *);
PROXY_WASM_IMPORT(proxy_set_tick_period_milliseconds) Status proxy_set_tick_period_milliseconds(uint32_t);
PROXY_WASM_IMPORT(proxy_set_effective_context) Status proxy_set_effective_context(uint32_t);
PROXY_WASM_IMPORT(proxy_done) Status proxy_done();
PROXY_WASM_IMPORT(proxy_get_status) Status proxy_get_status(uint32_t *, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_get_property) Status proxy_get_property(const char *, size_t, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_set_property) Status proxy_set_property(const char *, size_t, const char *, size_t);
PROXY_WASM_IMPORT(proxy_get_buffer_bytes) Status proxy_get_buffer_bytes(Buffer, size_t, size_t, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_get_buffer_status) Status proxy_get_buffer_status(Buffer, size_t *, uint32_t *);
PROXY_WASM_IMPORT(proxy_set_buffer_bytes) Status proxy_set_buffer_bytes(Buffer, size_t, size_t, const char *, size_t);
PROXY_WASM_IMPORT(proxy_get_header_map_pairs) Status proxy_get_header_map_pairs(HeaderMap, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_set_header_map_pairs) Status proxy_set_header_map_pairs(HeaderMap, const char *, size_t);
PROXY_WASM_IMPORT(proxy_get_header_map_size) Status proxy_get_header_map_size(HeaderMap, size_t *);
PROXY_WASM_IMPORT(proxy_get_header_map_value)
Status proxy_get_header_map_value(HeaderMap, const char *, size_t, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_add_header_map_value)
Status proxy_add_header_map_value(HeaderMap, const char *, size_t, const char *, size_t);
PROXY_WASM_IMPORT(proxy_replace_header_map_value)
Status proxy_replace_header_map_value(HeaderMap, const char *, size_t, const char *, size_t);
PROXY_WASM_IMPORT(proxy_remove_header_map_value)
Status proxy_remove_header_map_value(HeaderMap, const char *, size_t);
PROXY_WASM_IMPORT(proxy_continue_stream) Status proxy_continue_stream(StreamType);
PROXY_WASM_IMPORT(proxy_close_stream) Status proxy_close_stream(StreamType);
PROXY_WASM_IMPORT(proxy_send_local_response)
Status proxy_send_local_response(uint32_t, const char *, size_t, const char *, size_t, const char *, size_t, GrpcStatus);
PROXY_WASM_IMPORT(proxy_http_call)
Status proxy_http_call(const char *, size_t, const char *, size_t, const char *, size_t, const char *, size_t, uint32_t,
                       uint32_t *);
PROXY_WASM_IMPORT(proxy_grpc_call)
Status proxy_grpc_call(const char *, size_t, const char *, size_t, const char *, size_t, const char *, size_t,
                       const char *, size_t, uint32_t, uint32_t *);
PROXY_WASM_IMPORT(proxy_grpc_stream)
Status proxy_grpc_stream(const char *, size_t, const char *, size_t, const char *, size_t, const char *, size_t,
                         uint32_t *);
PROXY_WASM_IMPORT(proxy_grpc_send) Status proxy_grpc_send(uint32_t, const char *, size_t, uint32_t);
PROXY_WASM_IMPORT(proxy_grpc_cancel) Status proxy_grpc_cancel(uint32_t);
PROXY_WASM_IMPORT(proxy_grpc_close) Status proxy_grpc_close(uint32_t);
PROXY_WASM_IMPORT(proxy_get_shared_data) Status proxy_get_shared_data(const char *, size_t, Out *, size_t *, uint32_t *);
PROXY_WASM_IMPORT(proxy_set_shared_data)
Status proxy_set_shared_data(const char *, size_t, const char *, size_t, uint32_t);
PROXY_WASM_IMPORT(proxy_register_shared_queue) Status proxy_register_shared_queue(const char *, size_t, uint32_t *);
PROXY_WASM_IMPORT(proxy_resolve_shared_queue)
Status proxy_resolve_shared_queue(const char *, size_t, const char *, size_t, uint32_t *);
PROXY_WASM_IMPORT(proxy_enqueue_shared_queue) Status proxy_enqueue_shared_queue(uint32_t, const char *, size_t);
PROXY_WASM_IMPORT(proxy_dequeue_shared_queue) Status proxy_dequeue_shared_queue(uint32_t, Out *, size_t *);
PROXY_WASM_IMPORT(proxy_define_metric) Status proxy_define_metric(MetricType, const char *, size_t, uint32_t *);
PROXY_WASM_IMPORT(proxy_increment_metric) Status proxy_increment_metric(uint32_t, int64_t);
PROXY_WASM_IMPORT(proxy_record_metric) Status proxy_record_metric(uint32_t, uint64_t);
PROXY_WASM_IMPORT(proxy_get_metric) Status proxy_get_metric(uint32_t, uint64_t *);
PROXY_WASM_IMPORT(proxy_call_foreign_function)
Status proxy_call_foreign_function(const char *, size_t, const char *, size_t, Out *, size_t *);
// Of ABI 0.1.0.
PROXY_WASM_IMPORT(proxy_get_configuration) Status proxy_get_configuration(Out *, size_t *);
PROXY_WASM_IMPORT(proxy_continue_request) Status proxy_continue_request();
PROXY_WASM_IMPORT(proxy_continue_response) Status proxy_continue_response();
PROXY_WASM_IMPORT(proxy_clear_route_cache) Status proxy_clear_route_cache();
#undef PROXY_WASM_IMPORT
}  // namespace abi

// Bytes that the host has put into the filter's memory; freed with this value.
class WasmData {
 public:
  WasmData() = default;
  WasmData(uint8_t *data, size_t size) : data_(data), size_(size) {}
  std::string_view view() const { return {reinterpret_cast<const char *>(data_.get()), size_}; }
  std::string toString() const { return std::string(view()); }
  bool empty() const { return size_ == 0; }

 private:
  struct Free {
    void operator()(uint8_t *data) const { std::free(data); }
  };
  std::unique_ptr<uint8_t[], Free> data_;
  size_t size_ = 0;
};

// A hostcall's result: a value if the status is Ok.
template <typename T>
struct Result {
  Status status = Status::InternalFailure;
  T value = {};
  explicit operator bool() const { return status == Status::Ok; }
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

// Pairs as the host reads and writes them: the count, the sizes of each name and value, then both with a NUL behind each.
inline std::string serialize(const Pairs &pairs) {
  std::string bytes;
  auto number = [&bytes](size_t value) {
    auto word = static_cast<uint32_t>(value);
    bytes.append(reinterpret_cast<const char *>(&word), sizeof word);
  };
  number(pairs.size());
  for (const auto &[name, value] : pairs) {
    number(name.size());
    number(value.size());
  }
  for (const auto &[name, value] : pairs) {
    bytes.append(name).push_back('\0');
    bytes.append(value).push_back('\0');
  }
  return bytes;
}

// The reverse of serialize(); nothing for bytes that are no pairs.
inline std::optional<Pairs> deserialize(std::string_view bytes) {
  Pairs pairs;
  if (bytes.empty()) return pairs;
  auto number = [bytes](size_t place) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + place, sizeof word);
    return static_cast<size_t>(word);
  };
  if (bytes.size() < 4 || number(0) > (bytes.size() - 4) / 8) return std::nullopt;
  size_t count = number(0), place = 4 + 8 * count;
  for (size_t index = 0; index < count; index++) {
    std::string_view parts[2];
    for (size_t half = 0; half < 2; half++) {
      size_t size = number(4 + 8 * index + 4 * half);
      if (size >= bytes.size() - place) return std::nullopt;
      parts[half] = bytes.substr(place, size);
      place += size + 1;
      if (place == bytes.size() && !(half == 1 && index + 1 == count)) return std::nullopt;
    }
    pairs.emplace_back(parts[0], parts[1]);
  }
  return pairs;
}

namespace detail {
template <typename Call>
Result<WasmData> data(Call call) {
  uint8_t *bytes = nullptr;
  size_t size = 0;
  Status status = call(&bytes, &size);
  return {status, WasmData(bytes, size)};
}
template <typename T, typename Call>
Result<T> value(Call call) {
  Result<T> result;
  result.status = call(&result.value);
  return result;
}
}  // namespace detail

// Log, time, status.

inline Status log(LogLevel level, std::string_view message) { return abi::proxy_log(level, message.data(), message.size()); }
inline Status logTrace(std::string_view message) { return log(LogLevel::Trace, message); }
inline Status logDebug(std::string_view message) { return log(LogLevel::Debug, message); }
inline Status logInfo(std::string_view message) { return log(LogLevel::Info, message); }
inline Status logWarn(std::string_view message) { return log(LogLevel::Warn, message); }
inline Status logError(std::string_view message) { return log(LogLevel::Error, message); }
inline Status logCritical(std::string_view message) { return log(LogLevel::Critical, message); }
inline Result<LogLevel> getLogLevel() { return detail::value<LogLevel>(abi::proxy_get_log_level); }
// Nanoseconds since 1970.
inline Result<uint64_t> getCurrentTimeNanoseconds() {
  return detail::value<uint64_t>(abi::proxy_get_current_time_nanoseconds);
}
// Calls onTick() of the root context again and again; 0 ends that.
inline Status setTickPeriodMilliseconds(uint32_t period) { return abi::proxy_set_tick_period_milliseconds(period); }
// The context that hostcalls are about from here on, by its id. The host resets it at each callback.
inline Status setEffectiveContext(uint32_t id) { return abi::proxy_set_effective_context(id); }
// Ends a context whose onDone() has returned false.
inline Status done() { return abi::proxy_done(); }
// Code and text of the HTTP or gRPC call whose callback runs.
inline std::pair<Result<uint32_t>, WasmData> getStatus() {
  uint8_t *bytes = nullptr;
  size_t size = 0;
  Result<uint32_t> code;
  code.status = abi::proxy_get_status(&code.value, &bytes, &size);
  return {code, WasmData(bytes, size)};
}

// Properties: the path's segments, such as {"request", "path"}.

inline std::string propertyPath(const std::vector<std::string_view> &segments) {
  std::string path;
  for (std::string_view segment : segments) path.append(path.empty() ? 0 : 1, '\0').append(segment);
  return path;
}
inline Result<WasmData> getProperty(const std::vector<std::string_view> &segments) {
  std::string path = propertyPath(segments);
  return detail::data([&](auto data, auto size) { return abi::proxy_get_property(path.data(), path.size(), data, size); });
}
inline Status setProperty(const std::vector<std::string_view> &segments, std::string_view value) {
  std::string path = propertyPath(segments);
  return abi::proxy_set_property(path.data(), path.size(), value.data(), value.size());
}

// Buffers: bodies, TCP data, configurations.

inline Result<WasmData> getBufferBytes(Buffer buffer, size_t start = 0, size_t length = SIZE_MAX) {
  return detail::data(
      [&](auto data, auto size) { return abi::proxy_get_buffer_bytes(buffer, start, length, data, size); });
}
// Length and flags of a buffer.
inline Result<std::pair<size_t, uint32_t>> getBufferStatus(Buffer buffer) {
  Result<std::pair<size_t, uint32_t>> result;
  result.status = abi::proxy_get_buffer_status(buffer, &result.value.first, &result.value.second);
  return result;
}
// Puts `bytes` into the place of `length` bytes at `start`: (0, 0) puts them before all, (0, SIZE_MAX) into the place of
// all, (SIZE_MAX, 0) behind all.
inline Status setBuffer(Buffer buffer, size_t start, size_t length, std::string_view bytes) {
  return abi::proxy_set_buffer_bytes(buffer, start, length, bytes.data(), bytes.size());
}

// Header maps. Names are in lower case; `:path` and the like are among request headers, `:status` among response headers.

inline Result<Pairs> getHeaderMapPairs(HeaderMap map) {
  auto bytes = detail::data([&](auto data, auto size) { return abi::proxy_get_header_map_pairs(map, data, size); });
  auto pairs = bytes ? deserialize(bytes.value.view()) : Pairs{};
  if (!pairs) return {Status::ParseFailure, {}};
  return {bytes.status, std::move(*pairs)};
}
inline Status setHeaderMapPairs(HeaderMap map, const Pairs &pairs) {
  std::string bytes = serialize(pairs);
  return abi::proxy_set_header_map_pairs(map, bytes.data(), bytes.size());
}
// Bytes of all names and values.
inline Result<size_t> getHeaderMapSize(HeaderMap map) {
  return detail::value<size_t>([&](size_t *size) { return abi::proxy_get_header_map_size(map, size); });
}
inline Result<WasmData> getHeaderMapValue(HeaderMap map, std::string_view name) {
  return detail::data([&](auto data, auto size) {
    return abi::proxy_get_header_map_value(map, name.data(), name.size(), data, size);
  });
}
inline Status addHeaderMapValue(HeaderMap map, std::string_view name, std::string_view value) {
  return abi::proxy_add_header_map_value(map, name.data(), name.size(), value.data(), value.size());
}
inline Status replaceHeaderMapValue(HeaderMap map, std::string_view name, std::string_view value) {
  return abi::proxy_replace_header_map_value(map, name.data(), name.size(), value.data(), value.size());
}
inline Status removeHeaderMapValue(HeaderMap map, std::string_view name) {
  return abi::proxy_remove_header_map_value(map, name.data(), name.size());
}

#define PROXY_WASM_MAP(Singular, Plural)                                                                               \
  inline Result<Pairs> get##Singular##Pairs() { return getHeaderMapPairs(HeaderMap::Plural); }                         \
  inline Status set##Singular##Pairs(const Pairs &pairs) { return setHeaderMapPairs(HeaderMap::Plural, pairs); }       \
  inline Result<WasmData> get##Singular(std::string_view name) { return getHeaderMapValue(HeaderMap::Plural, name); }  \
  inline Status add##Singular(std::string_view name, std::string_view value) {                                         \
    return addHeaderMapValue(HeaderMap::Plural, name, value);                                                          \
  }                                                                                                                    \
  inline Status replace##Singular(std::string_view name, std::string_view value) {                                     \
    return replaceHeaderMapValue(HeaderMap::Plural, name, value);                                                      \
  }                                                                                                                    \
  inline Status remove##Singular(std::string_view name) { return removeHeaderMapValue(HeaderMap::Plural, name); }
PROXY_WASM_MAP(RequestHeader, RequestHeaders)
PROXY_WASM_MAP(RequestTrailer, RequestTrailers)
PROXY_WASM_MAP(ResponseHeader, ResponseHeaders)
PROXY_WASM_MAP(ResponseTrailer, ResponseTrailers)
#undef PROXY_WASM_MAP

// Streams.

inline Status continueStream(StreamType type) { return abi::proxy_continue_stream(type); }
inline Status continueRequest() { return continueStream(StreamType::HttpRequest); }
inline Status continueResponse() { return continueStream(StreamType::HttpResponse); }
inline Status continueDownstream() { return continueStream(StreamType::Downstream); }
inline Status continueUpstream() { return continueStream(StreamType::Upstream); }
inline Status closeStream(StreamType type) { return abi::proxy_close_stream(type); }
inline Status closeRequest() { return closeStream(StreamType::HttpRequest); }
inline Status closeResponse() { return closeStream(StreamType::HttpResponse); }
inline Status closeDownstream() { return closeStream(StreamType::Downstream); }
inline Status closeUpstream() { return closeStream(StreamType::Upstream); }
// Answers the client; return Action::Pause after it.
inline Status sendLocalResponse(uint32_t status, std::string_view details, std::string_view body, const Pairs &headers,
                                GrpcStatus grpc = GrpcStatus::None) {
  std::string pairs = serialize(headers);
  return abi::proxy_send_local_response(status, details.data(), details.size(), body.data(), body.size(), pairs.data(),
                                        pairs.size(), grpc);
}

// Calls. Each returns a token, which the callbacks of ContextBase are given. `upstream` is a name that the proxy knows.

inline Result<uint32_t> httpCall(std::string_view upstream, const Pairs &headers, std::string_view body,
                                 const Pairs &trailers, uint32_t timeout_milliseconds) {
  std::string head = serialize(headers), tail = serialize(trailers);
  return detail::value<uint32_t>([&](uint32_t *token) {
    return abi::proxy_http_call(upstream.data(), upstream.size(), head.data(), head.size(), body.data(), body.size(),
                                tail.data(), tail.size(), timeout_milliseconds, token);
  });
}
inline Result<uint32_t> grpcCall(std::string_view upstream, std::string_view service, std::string_view method,
                                 const Pairs &metadata, std::string_view message, uint32_t timeout_milliseconds) {
  std::string head = serialize(metadata);
  return detail::value<uint32_t>([&](uint32_t *token) {
    return abi::proxy_grpc_call(upstream.data(), upstream.size(), service.data(), service.size(), method.data(),
                                method.size(), head.data(), head.size(), message.data(), message.size(),
                                timeout_milliseconds, token);
  });
}
inline Result<uint32_t> grpcStream(std::string_view upstream, std::string_view service, std::string_view method,
                                   const Pairs &metadata) {
  std::string head = serialize(metadata);
  return detail::value<uint32_t>([&](uint32_t *token) {
    return abi::proxy_grpc_stream(upstream.data(), upstream.size(), service.data(), service.size(), method.data(),
                                  method.size(), head.data(), head.size(), token);
  });
}
inline Status grpcSend(uint32_t token, std::string_view message, bool end_of_stream) {
  return abi::proxy_grpc_send(token, message.data(), message.size(), end_of_stream);
}
// No callback comes after it.
inline Status grpcCancel(uint32_t token);
// Ends the filter's half; the other half goes on.
inline Status grpcClose(uint32_t token) { return abi::proxy_grpc_close(token); }

// Data and queues that VMs share.

struct SharedData {
  WasmData data;
  uint32_t cas = 0;
};
inline Result<SharedData> getSharedData(std::string_view key) {
  Result<SharedData> result;
  auto data = detail::data([&](auto bytes, auto size) {
    return abi::proxy_get_shared_data(key.data(), key.size(), bytes, size, &result.value.cas);
  });
  result.status = data.status;
  result.value.data = std::move(data.value);
  return result;
}
// A `cas` other than 0 must be the one that getSharedData() gave, else CasMismatch is returned and nothing is set.
inline Status setSharedData(std::string_view key, std::string_view value, uint32_t cas = 0) {
  return abi::proxy_set_shared_data(key.data(), key.size(), value.data(), value.size(), cas);
}
// Makes this root context the consumer of a queue: onQueueReady() tells it of values.
inline Result<uint32_t> registerSharedQueue(std::string_view name) {
  return detail::value<uint32_t>(
      [&](uint32_t *queue) { return abi::proxy_register_shared_queue(name.data(), name.size(), queue); });
}
inline Result<uint32_t> resolveSharedQueue(std::string_view vm_id, std::string_view name) {
  return detail::value<uint32_t>([&](uint32_t *queue) {
    return abi::proxy_resolve_shared_queue(vm_id.data(), vm_id.size(), name.data(), name.size(), queue);
  });
}
inline Status enqueueSharedQueue(uint32_t queue, std::string_view value) {
  return abi::proxy_enqueue_shared_queue(queue, value.data(), value.size());
}
inline Result<WasmData> dequeueSharedQueue(uint32_t queue) {
  return detail::data([&](auto data, auto size) { return abi::proxy_dequeue_shared_queue(queue, data, size); });
}

// Metrics. A name that is defined again, by whatever VM, is the same metric.

inline Result<uint32_t> defineMetric(MetricType type, std::string_view name) {
  return detail::value<uint32_t>(
      [&](uint32_t *metric) { return abi::proxy_define_metric(type, name.data(), name.size(), metric); });
}
inline Status incrementMetric(uint32_t metric, int64_t offset) { return abi::proxy_increment_metric(metric, offset); }
inline Status recordMetric(uint32_t metric, uint64_t value) { return abi::proxy_record_metric(metric, value); }
inline Result<uint64_t> getMetric(uint32_t metric) {
  return detail::value<uint64_t>([&](uint64_t *value) { return abi::proxy_get_metric(metric, value); });
}

// A function of the proxy's own, by its name.
inline Result<WasmData> callForeignFunction(std::string_view name, std::string_view arguments) {
  return detail::data([&](auto data, auto size) {
    return abi::proxy_call_foreign_function(name.data(), name.size(), arguments.data(), arguments.size(), data, size);
  });
}

class RootContext;

// What roots and streams have in common. The callbacks of calls run in the context that made the call.
class ContextBase {
 public:
  ContextBase(uint32_t id, RootContext *root) : id_(id), root_(root) {}
  virtual ~ContextBase() = default;
  ContextBase(const ContextBase &) = delete;
  ContextBase &operator=(const ContextBase &) = delete;

  uint32_t id() const { return id_; }
  RootContext *root() const { return root_; }

  // The context is about to end; false defers that until done() is called.
  virtual bool onDone() { return true; }
  // The last chance to read the stream's headers and properties.
  virtual void onLog() {}
  virtual void onDelete() {}
  // A failed call has no headers at all; getStatus() says why.
  virtual void onHttpCallResponse(uint32_t /*token*/, uint32_t /*headers*/, size_t /*body*/, uint32_t /*trailers*/) {}
  virtual void onGrpcReceiveInitialMetadata(uint32_t /*token*/, uint32_t /*headers*/) {}
  virtual void onGrpcReceive(uint32_t /*token*/, size_t /*size*/) {}
  virtual void onGrpcReceiveTrailingMetadata(uint32_t /*token*/, uint32_t /*trailers*/) {}
  virtual void onGrpcClose(uint32_t /*token*/, GrpcStatus) {}

  // As the functions of these names; the callbacks come to this context.
  Result<uint32_t> httpCall(std::string_view upstream, const Pairs &headers, std::string_view body,
                            const Pairs &trailers, uint32_t timeout_milliseconds);
  Result<uint32_t> grpcCall(std::string_view upstream, std::string_view service, std::string_view method,
                            const Pairs &metadata, std::string_view message, uint32_t timeout_milliseconds);
  Result<uint32_t> grpcStream(std::string_view upstream, std::string_view service, std::string_view method,
                              const Pairs &metadata);

 private:
  uint32_t id_;
  RootContext *root_;
};

// One configuration of the filter.
class RootContext : public ContextBase {
 public:
  explicit RootContext(uint32_t id) : ContextBase(id, this) {}
  // False refuses the configuration, and with it the filter.
  virtual bool onStart(size_t /*vm_configuration_size*/) { return true; }
  virtual bool validateConfiguration(size_t /*configuration_size*/) { return true; }
  virtual bool onConfigure(size_t /*configuration_size*/) { return true; }
  virtual void onTick() {}
  virtual void onQueueReady(uint32_t /*queue*/) {}
  virtual void onForeignFunction(uint32_t /*function*/, size_t /*arguments_size*/) {}
};

// One HTTP request with its response, or one TCP connection.
class Context : public ContextBase {
 public:
  using ContextBase::ContextBase;

  virtual Action onRequestHeaders(uint32_t /*headers*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual Action onRequestBody(size_t /*size*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual Action onRequestTrailers(uint32_t /*trailers*/) { return Action::Continue; }
  virtual Action onResponseHeaders(uint32_t /*headers*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual Action onResponseBody(size_t /*size*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual Action onResponseTrailers(uint32_t /*trailers*/) { return Action::Continue; }

  virtual Action onNewConnection() { return Action::Continue; }
  virtual Action onDownstreamData(size_t /*size*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual Action onUpstreamData(size_t /*size*/, bool /*end_of_stream*/) { return Action::Continue; }
  virtual void onDownstreamConnectionClose(PeerType) {}
  virtual void onUpstreamConnectionClose(PeerType) {}
};

namespace detail {
// Defined by PROXY_WASM_FILTER.
std::unique_ptr<RootContext> newRoot(uint32_t id);
std::unique_ptr<Context> newStream(uint32_t id, RootContext *root);

inline std::map<uint32_t, std::unique_ptr<RootContext>> roots;
inline std::map<uint32_t, std::unique_ptr<Context>> streams;
// The context of each call that runs.
inline std::map<uint32_t, uint32_t> calls;

inline RootContext *root(uint32_t id) {
  auto found = roots.find(id);
  return found == roots.end() ? nullptr : found->second.get();
}
inline Context *stream(uint32_t id) {
  auto found = streams.find(id);
  return found == streams.end() ? nullptr : found->second.get();
}
inline ContextBase *context(uint32_t id) {
  if (Context *found = stream(id)) return found;
  return root(id);
}
inline Result<uint32_t> begun(uint32_t id, Result<uint32_t> token) {
  if (token) calls[token.value] = id;
  return token;
}
// The context that waits for a call, made the one that hostcalls are about; null if it has gone.
inline ContextBase *caller(uint32_t token, bool ended) {
  auto call = calls.find(token);
  if (call == calls.end()) return nullptr;
  ContextBase *found = context(call->second);
  if (ended) calls.erase(call);
  if (found) setEffectiveContext(found->id());
  return found;
}
}  // namespace detail

inline Status grpcCancel(uint32_t token) {
  detail::calls.erase(token);
  return abi::proxy_grpc_cancel(token);
}

inline Result<uint32_t> ContextBase::httpCall(std::string_view upstream, const Pairs &headers, std::string_view body,
                                              const Pairs &trailers, uint32_t timeout) {
  return detail::begun(id_, proxy_wasm::httpCall(upstream, headers, body, trailers, timeout));
}
inline Result<uint32_t> ContextBase::grpcCall(std::string_view upstream, std::string_view service,
                                              std::string_view method, const Pairs &metadata, std::string_view message,
                                              uint32_t timeout) {
  return detail::begun(id_, proxy_wasm::grpcCall(upstream, service, method, metadata, message, timeout));
}
inline Result<uint32_t> ContextBase::grpcStream(std::string_view upstream, std::string_view service,
                                                std::string_view method, const Pairs &metadata) {
  return detail::begun(id_, proxy_wasm::grpcStream(upstream, service, method, metadata));
}

}  // namespace proxy_wasm

// Names the filter's classes; once in each filter.
#define PROXY_WASM_FILTER(Root, Stream)                                                                                \
  std::unique_ptr<proxy_wasm::RootContext> proxy_wasm::detail::newRoot(uint32_t id) {                                  \
    return std::make_unique<Root>(id);                                                                                 \
  }                                                                                                                    \
  std::unique_ptr<proxy_wasm::Context> proxy_wasm::detail::newStream(uint32_t id, proxy_wasm::RootContext *root) {     \
    return std::make_unique<Stream>(id, root);                                                                         \
  }

// The callbacks as the host knows them. One for a context that is not there lets the message pass.
#define PROXY_WASM_EXPORT(name, result) extern "C" __attribute__((export_name(#name), used)) inline result name
#define PROXY_WASM_ON_STREAM(name, method, arguments, parameters)                                                      \
  PROXY_WASM_EXPORT(name, proxy_wasm::Action) parameters {                                                             \
    auto *stream = proxy_wasm::detail::stream(id);                                                                     \
    return stream ? stream->method arguments : proxy_wasm::Action::Continue;                                           \
  }

PROXY_WASM_EXPORT(proxy_abi_version_0_2_1, void)() {}
// The host puts what it returns into memory of this function.
PROXY_WASM_EXPORT(proxy_on_memory_allocate, void *)(size_t size) { return std::malloc(size); }

PROXY_WASM_EXPORT(proxy_on_context_create, void)(uint32_t id, uint32_t parent) {
  using namespace proxy_wasm::detail;
  if (parent == 0) {
    roots[id] = newRoot(id);
  } else if (auto *of = root(parent)) {
    streams[id] = newStream(id, of);
  }
}
PROXY_WASM_EXPORT(proxy_on_vm_start, uint32_t)(uint32_t id, size_t size) {
  auto *root = proxy_wasm::detail::root(id);
  return root ? root->onStart(size) : true;
}
PROXY_WASM_EXPORT(proxy_validate_configuration, uint32_t)(uint32_t id, size_t size) {
  auto *root = proxy_wasm::detail::root(id);
  return root ? root->validateConfiguration(size) : true;
}
PROXY_WASM_EXPORT(proxy_on_configure, uint32_t)(uint32_t id, size_t size) {
  auto *root = proxy_wasm::detail::root(id);
  return root ? root->onConfigure(size) : true;
}
PROXY_WASM_EXPORT(proxy_on_tick, void)(uint32_t id) {
  if (auto *root = proxy_wasm::detail::root(id)) root->onTick();
}
PROXY_WASM_EXPORT(proxy_on_queue_ready, void)(uint32_t id, uint32_t queue) {
  if (auto *root = proxy_wasm::detail::root(id)) root->onQueueReady(queue);
}
PROXY_WASM_EXPORT(proxy_on_foreign_function, void)(uint32_t id, uint32_t function, size_t size) {
  if (auto *root = proxy_wasm::detail::root(id)) root->onForeignFunction(function, size);
}

PROXY_WASM_ON_STREAM(proxy_on_request_headers, onRequestHeaders, (count, end != 0), (uint32_t id, uint32_t count, uint32_t end))
PROXY_WASM_ON_STREAM(proxy_on_request_body, onRequestBody, (size, end != 0), (uint32_t id, size_t size, uint32_t end))
PROXY_WASM_ON_STREAM(proxy_on_request_trailers, onRequestTrailers, (count), (uint32_t id, uint32_t count))
PROXY_WASM_ON_STREAM(proxy_on_response_headers, onResponseHeaders, (count, end != 0), (uint32_t id, uint32_t count, uint32_t end))
PROXY_WASM_ON_STREAM(proxy_on_response_body, onResponseBody, (size, end != 0), (uint32_t id, size_t size, uint32_t end))
PROXY_WASM_ON_STREAM(proxy_on_response_trailers, onResponseTrailers, (count), (uint32_t id, uint32_t count))
PROXY_WASM_ON_STREAM(proxy_on_new_connection, onNewConnection, (), (uint32_t id))
PROXY_WASM_ON_STREAM(proxy_on_downstream_data, onDownstreamData, (size, end != 0), (uint32_t id, size_t size, uint32_t end))
PROXY_WASM_ON_STREAM(proxy_on_upstream_data, onUpstreamData, (size, end != 0), (uint32_t id, size_t size, uint32_t end))
PROXY_WASM_EXPORT(proxy_on_downstream_connection_close, void)(uint32_t id, proxy_wasm::PeerType peer) {
  if (auto *stream = proxy_wasm::detail::stream(id)) stream->onDownstreamConnectionClose(peer);
}
PROXY_WASM_EXPORT(proxy_on_upstream_connection_close, void)(uint32_t id, proxy_wasm::PeerType peer) {
  if (auto *stream = proxy_wasm::detail::stream(id)) stream->onUpstreamConnectionClose(peer);
}

PROXY_WASM_EXPORT(proxy_on_http_call_response, void)
(uint32_t, uint32_t token, uint32_t headers, size_t body, uint32_t trailers) {
  if (auto *caller = proxy_wasm::detail::caller(token, true)) caller->onHttpCallResponse(token, headers, body, trailers);
}
PROXY_WASM_EXPORT(proxy_on_grpc_receive_initial_metadata, void)(uint32_t, uint32_t token, uint32_t headers) {
  if (auto *caller = proxy_wasm::detail::caller(token, false)) caller->onGrpcReceiveInitialMetadata(token, headers);
}
PROXY_WASM_EXPORT(proxy_on_grpc_receive, void)(uint32_t, uint32_t token, size_t size) {
  if (auto *caller = proxy_wasm::detail::caller(token, false)) caller->onGrpcReceive(token, size);
}
PROXY_WASM_EXPORT(proxy_on_grpc_receive_trailing_metadata, void)(uint32_t, uint32_t token, uint32_t trailers) {
  if (auto *caller = proxy_wasm::detail::caller(token, false)) caller->onGrpcReceiveTrailingMetadata(token, trailers);
}
PROXY_WASM_EXPORT(proxy_on_grpc_close, void)(uint32_t, uint32_t token, proxy_wasm::GrpcStatus status) {
  if (auto *caller = proxy_wasm::detail::caller(token, true)) caller->onGrpcClose(token, status);
}

PROXY_WASM_EXPORT(proxy_on_done, uint32_t)(uint32_t id) {
  auto *context = proxy_wasm::detail::context(id);
  return context ? context->onDone() : true;
}
PROXY_WASM_EXPORT(proxy_on_log, void)(uint32_t id) {
  if (auto *context = proxy_wasm::detail::context(id)) context->onLog();
}
PROXY_WASM_EXPORT(proxy_on_delete, void)(uint32_t id) {
  using namespace proxy_wasm::detail;
  if (auto *ending = context(id)) ending->onDelete();
  for (auto call = calls.begin(); call != calls.end();) {
    call = call->second == id ? calls.erase(call) : std::next(call);
  }
  streams.erase(id);
  roots.erase(id);
}

#undef PROXY_WASM_ON_STREAM
#undef PROXY_WASM_EXPORT
