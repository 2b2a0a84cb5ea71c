//! Proxy-Wasm for filters in Zig: one file, made to be copied. Written for Zig 0.17.
//!
//! A filter has two types and names both once:
//!
//!     const proxy_wasm = @import("proxy_wasm");
//!     comptime { proxy_wasm.filter(RootContext, Context); }
//!
//! A host has one root context for each configuration of the filter, and one context for each request or TCP connection.
//! Both are structs with `init` and any of the callbacks that `filter` lists; callbacks that neither type declares are not
//! exported, so that the host skips them. The command to build a filter is in README.md beside this file.
//!
//! What the host returns lies in memory of `allocator`; the functions that return slices say so, and the caller frees
//! them. ABI 0.2.1; `abi` has the hostcalls of the older 0.1.0 too, which few hosts still need.

const std = @import("std");

/// Of everything that comes from the host.
pub const allocator = std.heap.wasm_allocator;

pub const Status = enum(u32) {
    ok = 0,
    not_found = 1,
    bad_argument = 2,
    serialization_failure = 3,
    parse_failure = 4,
    bad_expression = 5,
    invalid_memory_access = 6,
    empty = 7,
    cas_mismatch = 8,
    result_mismatch = 9,
    internal_failure = 10,
    broken_connection = 11,
    unimplemented = 12,
    _,
};

/// A status other than `ok`, or no memory for the arguments.
pub const Error = error{
    NotFound,
    BadArgument,
    SerializationFailure,
    ParseFailure,
    BadExpression,
    InvalidMemoryAccess,
    Empty,
    CasMismatch,
    ResultMismatch,
    InternalFailure,
    BrokenConnection,
    Unimplemented,
    OutOfMemory,
};

pub const LogLevel = enum(u32) { trace, debug, info, warn, err, critical, _ };

/// What a callback of a message returns: the host goes on with the message, or holds it back until `continueStream` or,
/// for a body, until the callback is called again with all that is held back and more.
pub const Action = enum(u32) { @"continue" = 0, pause = 1 };

pub const HeaderMap = enum(u32) {
    request_headers = 0,
    request_trailers = 1,
    response_headers = 2,
    response_trailers = 3,
    grpc_receive_initial_metadata = 4,
    grpc_receive_trailing_metadata = 5,
    http_call_response_headers = 6,
    http_call_response_trailers = 7,
};

pub const Buffer = enum(u32) {
    http_request_body = 0,
    http_response_body = 1,
    downstream_data = 2,
    upstream_data = 3,
    http_call_response_body = 4,
    grpc_receive = 5,
    vm_configuration = 6,
    plugin_configuration = 7,
    foreign_function_arguments = 8,
};

pub const StreamType = enum(u32) { http_request = 0, http_response = 1, downstream = 2, upstream = 3 };
pub const MetricType = enum(u32) { counter = 0, gauge = 1, histogram = 2 };
pub const PeerType = enum(u32) { unknown = 0, local = 1, remote = 2, _ };

/// Of gRPC; `none` in `sendLocalResponse` means that the response is no gRPC response.
pub const GrpcStatus = enum(i32) {
    none = -1,
    ok = 0,
    canceled = 1,
    unknown = 2,
    invalid_argument = 3,
    deadline_exceeded = 4,
    not_found = 5,
    already_exists = 6,
    permission_denied = 7,
    resource_exhausted = 8,
    failed_precondition = 9,
    aborted = 10,
    out_of_range = 11,
    unimplemented = 12,
    internal = 13,
    unavailable = 14,
    data_loss = 15,
    unauthenticated = 16,
    _,
};

/// The hostcalls as the ABI has them. The rest of this file wraps each in types.
pub const abi = struct {
    const Bytes = [*]const u8;
    const Out = *?[*]u8;
    const Size = *usize;
    pub extern "env" fn proxy_log(LogLevel, Bytes, usize) Status;
    pub extern "env" fn proxy_get_log_level(*LogLevel) Status;
    pub extern "env" fn proxy_get_current_time_nanoseconds(*u64) Status;
    pub extern "env" fn proxy_set_tick_period_milliseconds(u32) Status;
    pub extern "env" fn proxy_set_effective_context(u32) Status;
    pub extern "env" fn proxy_done() Status;
    pub extern "env" fn proxy_get_status(*u32, Out, Size) Status;
    pub extern "env" fn proxy_get_property(Bytes, usize, Out, Size) Status;
    pub extern "env" fn proxy_set_property(Bytes, usize, Bytes, usize) Status;
    pub extern "env" fn proxy_get_buffer_bytes(Buffer, usize, usize, Out, Size) Status;
    pub extern "env" fn proxy_get_buffer_status(Buffer, Size, *u32) Status;
    pub extern "env" fn proxy_set_buffer_bytes(Buffer, usize, usize, Bytes, usize) Status;
    pub extern "env" fn proxy_get_header_map_pairs(HeaderMap, Out, Size) Status;
    pub extern "env" fn proxy_set_header_map_pairs(HeaderMap, Bytes, usize) Status;
    pub extern "env" fn proxy_get_header_map_size(HeaderMap, Size) Status;
    pub extern "env" fn proxy_get_header_map_value(HeaderMap, Bytes, usize, Out, Size) Status;
    pub extern "env" fn proxy_add_header_map_value(HeaderMap, Bytes, usize, Bytes, usize) Status;
    pub extern "env" fn proxy_replace_header_map_value(HeaderMap, Bytes, usize, Bytes, usize) Status;
    pub extern "env" fn proxy_remove_header_map_value(HeaderMap, Bytes, usize) Status;
    pub extern "env" fn proxy_continue_stream(StreamType) Status;
    pub extern "env" fn proxy_close_stream(StreamType) Status;
    pub extern "env" fn proxy_send_local_response(u32, Bytes, usize, Bytes, usize, Bytes, usize, GrpcStatus) Status;
    pub extern "env" fn proxy_http_call(Bytes, usize, Bytes, usize, Bytes, usize, Bytes, usize, u32, *u32) Status;
    pub extern "env" fn proxy_grpc_call(Bytes, usize, Bytes, usize, Bytes, usize, Bytes, usize, Bytes, usize, u32, *u32) Status;
    pub extern "env" fn proxy_grpc_stream(Bytes, usize, Bytes, usize, Bytes, usize, Bytes, usize, *u32) Status;
    pub extern "env" fn proxy_grpc_send(u32, Bytes, usize, u32) Status;
    pub extern "env" fn proxy_grpc_cancel(u32) Status;
    pub extern "env" fn proxy_grpc_close(u32) Status;
    pub extern "env" fn proxy_get_shared_data(Bytes, usize, Out, Size, *u32) Status;
    pub extern "env" fn proxy_set_shared_data(Bytes, usize, Bytes, usize, u32) Status;
    pub extern "env" fn proxy_register_shared_queue(Bytes, usize, *u32) Status;
    pub extern "env" fn proxy_resolve_shared_queue(Bytes, usize, Bytes, usize, *u32) Status;
    pub extern "env" fn proxy_enqueue_shared_queue(u32, Bytes, usize) Status;
    pub extern "env" fn proxy_dequeue_shared_queue(u32, Out, Size) Status;
    pub extern "env" fn proxy_define_metric(MetricType, Bytes, usize, *u32) Status;
    pub extern "env" fn proxy_increment_metric(u32, i64) Status;
    pub extern "env" fn proxy_record_metric(u32, u64) Status;
    pub extern "env" fn proxy_get_metric(u32, *u64) Status;
    pub extern "env" fn proxy_call_foreign_function(Bytes, usize, Bytes, usize, Out, Size) Status;
    // Of ABI 0.1.0.
    pub extern "env" fn proxy_get_configuration(Out, Size) Status;
    pub extern "env" fn proxy_continue_request() Status;
    pub extern "env" fn proxy_continue_response() Status;
    pub extern "env" fn proxy_clear_route_cache() Status;
};

fn check(status: Status) Error!void {
    return switch (status) {
        .ok => {},
        .not_found => error.NotFound,
        .bad_argument => error.BadArgument,
        .serialization_failure => error.SerializationFailure,
        .parse_failure => error.ParseFailure,
        .bad_expression => error.BadExpression,
        .invalid_memory_access => error.InvalidMemoryAccess,
        .empty => error.Empty,
        .cas_mismatch => error.CasMismatch,
        .result_mismatch => error.ResultMismatch,
        .broken_connection => error.BrokenConnection,
        .unimplemented => error.Unimplemented,
        else => error.InternalFailure,
    };
}

/// Where the host puts bytes.
const Data = struct {
    data: ?[*]u8 = null,
    size: usize = 0,

    fn slice(self: Data) []u8 {
        const data = self.data orelse return &.{};
        return data[0..self.size];
    }
};

// Log, time, status.

pub fn log(level: LogLevel, message: []const u8) void {
    _ = abi.proxy_log(level, message.ptr, message.len);
}

/// Logs formatted text, cut after 1 KiB.
pub fn logf(level: LogLevel, comptime format: []const u8, arguments: anytype) void {
    var buffer: [1024]u8 = undefined;
    log(level, std.fmt.bufPrint(&buffer, format, arguments) catch &buffer);
}

pub fn getLogLevel() Error!LogLevel {
    var level: LogLevel = .info;
    try check(abi.proxy_get_log_level(&level));
    return level;
}

/// Nanoseconds since 1970.
pub fn getCurrentTimeNanoseconds() Error!u64 {
    var time: u64 = 0;
    try check(abi.proxy_get_current_time_nanoseconds(&time));
    return time;
}

/// Calls `onTick` of the root context again and again; 0 ends that.
pub fn setTickPeriodMilliseconds(period: u32) Error!void {
    return check(abi.proxy_set_tick_period_milliseconds(period));
}

/// The context that hostcalls are about from here on, by its id. The host resets it at each callback.
pub fn setEffectiveContext(id: u32) Error!void {
    return check(abi.proxy_set_effective_context(id));
}

/// Ends a context whose `onDone` has returned false.
pub fn done() Error!void {
    return check(abi.proxy_done());
}

pub const CallStatus = struct { code: u32, message: []u8 };

/// Code and text of the HTTP or gRPC call whose callback runs. The caller frees the text.
pub fn getStatus() Error!CallStatus {
    var code: u32 = 0;
    var message: Data = .{};
    try check(abi.proxy_get_status(&code, &message.data, &message.size));
    return .{ .code = code, .message = message.slice() };
}

// Properties: the path's segments, such as `&.{ "request", "path" }`.

/// The caller frees the value.
pub fn getProperty(segments: []const []const u8) Error![]u8 {
    const path = try std.mem.join(allocator, "\x00", segments);
    defer allocator.free(path);
    var value: Data = .{};
    try check(abi.proxy_get_property(path.ptr, path.len, &value.data, &value.size));
    return value.slice();
}

pub fn setProperty(segments: []const []const u8, value: []const u8) Error!void {
    const path = try std.mem.join(allocator, "\x00", segments);
    defer allocator.free(path);
    return check(abi.proxy_set_property(path.ptr, path.len, value.ptr, value.len));
}

// Buffers: bodies, TCP data, configurations.

/// At most `length` bytes of a buffer from `start`. The caller frees them.
pub fn getBufferBytes(buffer: Buffer, start: usize, length: usize) Error![]u8 {
    var bytes: Data = .{};
    try check(abi.proxy_get_buffer_bytes(buffer, start, length, &bytes.data, &bytes.size));
    return bytes.slice();
}

/// The whole buffer. The caller frees it.
pub fn getBuffer(buffer: Buffer) Error![]u8 {
    return getBufferBytes(buffer, 0, std.math.maxInt(usize));
}

pub const BufferStatus = struct { length: usize, flags: u32 };

pub fn getBufferStatus(buffer: Buffer) Error!BufferStatus {
    var status: BufferStatus = .{ .length = 0, .flags = 0 };
    try check(abi.proxy_get_buffer_status(buffer, &status.length, &status.flags));
    return status;
}

/// Puts `bytes` into the place of `length` bytes at `start`: (0, 0) puts them before all, (0, maxInt) into the place of
/// all, (maxInt, 0) behind all.
pub fn setBufferBytes(buffer: Buffer, start: usize, length: usize, bytes: []const u8) Error!void {
    return check(abi.proxy_set_buffer_bytes(buffer, start, length, bytes.ptr, bytes.len));
}

pub fn replaceBuffer(buffer: Buffer, bytes: []const u8) Error!void {
    return setBufferBytes(buffer, 0, std.math.maxInt(usize), bytes);
}

// Header maps. Names are in lower case; `:path` and the like are among request headers, `:status` among response headers.

pub const Pair = struct { name: []const u8, value: []const u8 };

/// Pairs as the host reads them: the count, the sizes of each name and value, then both with a NUL behind each. The caller
/// frees them.
pub fn serialize(pairs: []const Pair) Error![]u8 {
    var size: usize = 4;
    for (pairs) |pair| size += 10 + pair.name.len + pair.value.len;
    const bytes = try allocator.alloc(u8, size);
    @memset(bytes, 0);
    std.mem.writeInt(u32, bytes[0..4], @intCast(pairs.len), .little);
    var text: usize = 4 + 8 * pairs.len;
    for (pairs, 0..) |pair, index| {
        for ([_][]const u8{ pair.name, pair.value }, 0..) |part, half| {
            std.mem.writeInt(u32, bytes[4 + 8 * index + 4 * half ..][0..4], @intCast(part.len), .little);
            @memcpy(bytes[text..][0..part.len], part);
            text += part.len + 1;
        }
    }
    return bytes;
}

/// The pairs of a map, in memory that `deinit` frees.
pub const Pairs = struct {
    bytes: []u8,
    items: []Pair,

    pub fn deinit(self: Pairs) void {
        allocator.free(self.items);
        allocator.free(self.bytes);
    }
};

/// The reverse of `serialize`, of bytes that the result owns from here on, whatever it is.
pub fn deserialize(bytes: []u8) Error!Pairs {
    errdefer allocator.free(bytes);
    if (bytes.len == 0) return .{ .bytes = bytes, .items = &.{} };
    if (bytes.len < 4) return error.ParseFailure;
    const count = std.mem.readInt(u32, bytes[0..4], .little);
    if (count > (bytes.len - 4) / 8) return error.ParseFailure;
    const items = try allocator.alloc(Pair, count);
    errdefer allocator.free(items);
    var rest: []const u8 = bytes[4 + 8 * count ..];
    for (items, 0..) |*item, index| {
        var parts: [2][]const u8 = undefined;
        for (&parts, 0..) |*part, half| {
            const size = std.mem.readInt(u32, bytes[4 + 8 * index + 4 * half ..][0..4], .little);
            if (size >= rest.len) return error.ParseFailure;
            part.* = rest[0..size];
            rest = rest[size + 1 ..];
        }
        item.* = .{ .name = parts[0], .value = parts[1] };
    }
    return .{ .bytes = bytes, .items = items };
}

pub fn getHeaderMapPairs(map: HeaderMap) Error!Pairs {
    var bytes: Data = .{};
    try check(abi.proxy_get_header_map_pairs(map, &bytes.data, &bytes.size));
    return deserialize(bytes.slice());
}

pub fn setHeaderMapPairs(map: HeaderMap, pairs: []const Pair) Error!void {
    const bytes = try serialize(pairs);
    defer allocator.free(bytes);
    return check(abi.proxy_set_header_map_pairs(map, bytes.ptr, bytes.len));
}

/// Bytes of all names and values.
pub fn getHeaderMapSize(map: HeaderMap) Error!usize {
    var size: usize = 0;
    try check(abi.proxy_get_header_map_size(map, &size));
    return size;
}

/// The caller frees the value.
pub fn getHeaderMapValue(map: HeaderMap, name: []const u8) Error![]u8 {
    var value: Data = .{};
    try check(abi.proxy_get_header_map_value(map, name.ptr, name.len, &value.data, &value.size));
    return value.slice();
}

pub fn addHeaderMapValue(map: HeaderMap, name: []const u8, value: []const u8) Error!void {
    return check(abi.proxy_add_header_map_value(map, name.ptr, name.len, value.ptr, value.len));
}

pub fn replaceHeaderMapValue(map: HeaderMap, name: []const u8, value: []const u8) Error!void {
    return check(abi.proxy_replace_header_map_value(map, name.ptr, name.len, value.ptr, value.len));
}

pub fn removeHeaderMapValue(map: HeaderMap, name: []const u8) Error!void {
    return check(abi.proxy_remove_header_map_value(map, name.ptr, name.len));
}

// Streams.

pub fn continueStream(stream: StreamType) Error!void {
    return check(abi.proxy_continue_stream(stream));
}

pub fn closeStream(stream: StreamType) Error!void {
    return check(abi.proxy_close_stream(stream));
}

pub const LocalResponse = struct {
    status: u32,
    details: []const u8 = "",
    body: []const u8 = "",
    headers: []const Pair = &.{},
    grpc: GrpcStatus = .none,
};

/// Answers the client; return `.pause` after it.
pub fn sendLocalResponse(response: LocalResponse) Error!void {
    const headers = try serialize(response.headers);
    defer allocator.free(headers);
    return check(abi.proxy_send_local_response(
        response.status,
        response.details.ptr,
        response.details.len,
        response.body.ptr,
        response.body.len,
        headers.ptr,
        headers.len,
        response.grpc,
    ));
}

// Calls. `context` is the id of the context whose callbacks hear of the call, `upstream` a name that the proxy knows. Each
// returns a token, which the callbacks are given.

pub const HttpCall = struct {
    upstream: []const u8,
    headers: []const Pair,
    body: []const u8 = "",
    trailers: []const Pair = &.{},
    timeout_milliseconds: u32,
};

pub fn httpCall(context: u32, call: HttpCall) Error!u32 {
    const headers = try serialize(call.headers);
    defer allocator.free(headers);
    const trailers = try serialize(call.trailers);
    defer allocator.free(trailers);
    try callers.ensureUnusedCapacity(allocator, 1);
    var token: u32 = 0;
    try check(abi.proxy_http_call(
        call.upstream.ptr,
        call.upstream.len,
        headers.ptr,
        headers.len,
        call.body.ptr,
        call.body.len,
        trailers.ptr,
        trailers.len,
        call.timeout_milliseconds,
        &token,
    ));
    callers.putAssumeCapacity(token, context);
    return token;
}

pub const GrpcCall = struct {
    upstream: []const u8,
    service: []const u8,
    method: []const u8,
    metadata: []const Pair = &.{},
    message: []const u8,
    timeout_milliseconds: u32,
};

pub fn grpcCall(context: u32, call: GrpcCall) Error!u32 {
    const metadata = try serialize(call.metadata);
    defer allocator.free(metadata);
    try callers.ensureUnusedCapacity(allocator, 1);
    var token: u32 = 0;
    try check(abi.proxy_grpc_call(
        call.upstream.ptr,
        call.upstream.len,
        call.service.ptr,
        call.service.len,
        call.method.ptr,
        call.method.len,
        metadata.ptr,
        metadata.len,
        call.message.ptr,
        call.message.len,
        call.timeout_milliseconds,
        &token,
    ));
    callers.putAssumeCapacity(token, context);
    return token;
}

pub const GrpcStream = struct {
    upstream: []const u8,
    service: []const u8,
    method: []const u8,
    metadata: []const Pair = &.{},
};

pub fn grpcStream(context: u32, stream: GrpcStream) Error!u32 {
    const metadata = try serialize(stream.metadata);
    defer allocator.free(metadata);
    try callers.ensureUnusedCapacity(allocator, 1);
    var token: u32 = 0;
    try check(abi.proxy_grpc_stream(
        stream.upstream.ptr,
        stream.upstream.len,
        stream.service.ptr,
        stream.service.len,
        stream.method.ptr,
        stream.method.len,
        metadata.ptr,
        metadata.len,
        &token,
    ));
    callers.putAssumeCapacity(token, context);
    return token;
}

pub fn grpcSend(token: u32, message: []const u8, end_of_stream: bool) Error!void {
    return check(abi.proxy_grpc_send(token, message.ptr, message.len, @intFromBool(end_of_stream)));
}

/// No callback comes after it.
pub fn grpcCancel(token: u32) Error!void {
    _ = callers.remove(token);
    return check(abi.proxy_grpc_cancel(token));
}

/// Ends the filter's half; the other half goes on.
pub fn grpcClose(token: u32) Error!void {
    return check(abi.proxy_grpc_close(token));
}

// Data and queues that VMs share.

pub const SharedData = struct { value: []u8, cas: u32 };

/// The caller frees the value.
pub fn getSharedData(key: []const u8) Error!SharedData {
    var value: Data = .{};
    var cas: u32 = 0;
    try check(abi.proxy_get_shared_data(key.ptr, key.len, &value.data, &value.size, &cas));
    return .{ .value = value.slice(), .cas = cas };
}

/// A `cas` other than 0 must be the one that `getSharedData` gave, else CasMismatch is returned and nothing is set.
pub fn setSharedData(key: []const u8, value: []const u8, cas: u32) Error!void {
    return check(abi.proxy_set_shared_data(key.ptr, key.len, value.ptr, value.len, cas));
}

/// Makes this root context the consumer of a queue: `onQueueReady` tells it of values.
pub fn registerSharedQueue(name: []const u8) Error!u32 {
    var queue: u32 = 0;
    try check(abi.proxy_register_shared_queue(name.ptr, name.len, &queue));
    return queue;
}

pub fn resolveSharedQueue(vm_id: []const u8, name: []const u8) Error!u32 {
    var queue: u32 = 0;
    try check(abi.proxy_resolve_shared_queue(vm_id.ptr, vm_id.len, name.ptr, name.len, &queue));
    return queue;
}

pub fn enqueueSharedQueue(queue: u32, value: []const u8) Error!void {
    return check(abi.proxy_enqueue_shared_queue(queue, value.ptr, value.len));
}

/// The caller frees the value.
pub fn dequeueSharedQueue(queue: u32) Error![]u8 {
    var value: Data = .{};
    try check(abi.proxy_dequeue_shared_queue(queue, &value.data, &value.size));
    return value.slice();
}

// Metrics. A name that is defined again, by whatever VM, is the same metric.

pub fn defineMetric(kind: MetricType, name: []const u8) Error!u32 {
    var metric: u32 = 0;
    try check(abi.proxy_define_metric(kind, name.ptr, name.len, &metric));
    return metric;
}

pub fn incrementMetric(metric: u32, offset: i64) Error!void {
    return check(abi.proxy_increment_metric(metric, offset));
}

pub fn recordMetric(metric: u32, value: u64) Error!void {
    return check(abi.proxy_record_metric(metric, value));
}

pub fn getMetric(metric: u32) Error!u64 {
    var value: u64 = 0;
    try check(abi.proxy_get_metric(metric, &value));
    return value;
}

/// A function of the proxy's own, by its name. The caller frees the result.
pub fn callForeignFunction(name: []const u8, arguments: []const u8) Error![]u8 {
    var result: Data = .{};
    try check(abi.proxy_call_foreign_function(
        name.ptr,
        name.len,
        arguments.ptr,
        arguments.len,
        &result.data,
        &result.size,
    ));
    return result.slice();
}

/// The context of each call that runs, by its token.
var callers: std.AutoHashMapUnmanaged(u32, u32) = .empty;

/// Exports a filter of two types, each a struct whose callbacks are any of these:
///
/// - `RootContext`: `init(id: u32) RootContext`, `onStart(*RootContext, size: usize) bool`, `validateConfiguration` and
///   `onConfigure` likewise, `onTick(*RootContext) void`, `onQueueReady(*RootContext, queue: u32) void`,
///   `onForeignFunction(*RootContext, function: u32, size: usize) void`.
/// - `Context`: `init(id: u32, root: *RootContext) Context`, `onRequestHeaders(*Context, count: u32, end_of_stream: bool)
///   Action`, `onRequestBody(*Context, size: usize, end_of_stream: bool) Action`, `onRequestTrailers(*Context, count: u32)
///   Action`, the same three for `onResponse...`, `onNewConnection(*Context) Action`, `onDownstreamData(*Context, size:
///   usize, end_of_stream: bool) Action`, `onUpstreamData` likewise, `onDownstreamConnectionClose(*Context, PeerType) void`,
///   `onUpstreamConnectionClose` likewise.
/// - Both: `onHttpCallResponse(*Self, token: u32, headers: u32, body: usize, trailers: u32) void`, where a failed call has
///   no headers, `onGrpcReceiveInitialMetadata(*Self, token: u32, headers: u32) void`, `onGrpcReceive(*Self, token: u32,
///   size: usize) void`, `onGrpcReceiveTrailingMetadata(*Self, token: u32, trailers: u32) void`, `onGrpcClose(*Self, token:
///   u32, GrpcStatus) void`, `onDone(*Self) bool`, `onLog(*Self) void`, `onDelete(*Self) void`.
pub fn filter(comptime RootContext: type, comptime Context: type) void {
    const Entry = struct {
        var roots: std.AutoHashMapUnmanaged(u32, *RootContext) = .empty;
        var streams: std.AutoHashMapUnmanaged(u32, *Context) = .empty;

        fn version() callconv(.c) void {}

        fn allocate(size: usize) callconv(.c) ?[*]u8 {
            const bytes = allocator.alloc(u8, size) catch return null;
            return bytes.ptr;
        }

        fn create(id: u32, parent: u32) callconv(.c) void {
            if (parent == 0) {
                const root = allocator.create(RootContext) catch unreachable;
                root.* = RootContext.init(id);
                roots.put(allocator, id, root) catch unreachable;
            } else if (roots.get(parent)) |root| {
                const stream = allocator.create(Context) catch unreachable;
                stream.* = Context.init(id, root);
                streams.put(allocator, id, stream) catch unreachable;
            }
        }

        fn delete(id: u32) callconv(.c) void {
            _ = onEither(id, "onDelete", .{}, {});
            var calls = callers.iterator();
            while (calls.next()) |call| {
                if (call.value_ptr.* != id) continue;
                // Removal ends the iteration.
                _ = callers.remove(call.key_ptr.*);
                calls = callers.iterator();
            }
            if (streams.fetchRemove(id)) |stream| allocator.destroy(stream.value);
            if (roots.fetchRemove(id)) |root| allocator.destroy(root.value);
        }

        fn onRoot(id: u32, comptime name: []const u8, arguments: anytype, otherwise: anytype) @TypeOf(otherwise) {
            if (!@hasDecl(RootContext, name)) return otherwise;
            const root = roots.get(id) orelse return otherwise;
            return @call(.auto, @field(RootContext, name), .{root} ++ arguments);
        }

        fn onStream(id: u32, comptime name: []const u8, arguments: anytype, otherwise: anytype) @TypeOf(otherwise) {
            if (!@hasDecl(Context, name)) return otherwise;
            const stream = streams.get(id) orelse return otherwise;
            return @call(.auto, @field(Context, name), .{stream} ++ arguments);
        }

        fn onEither(id: u32, comptime name: []const u8, arguments: anytype, otherwise: anytype) @TypeOf(otherwise) {
            if (streams.contains(id)) return onStream(id, name, arguments, otherwise);
            return onRoot(id, name, arguments, otherwise);
        }

        /// Calls back the context that waits for a call, and makes it the one that hostcalls are about.
        fn onCaller(token: u32, ended: bool, comptime name: []const u8, arguments: anytype) void {
            const id = callers.get(token) orelse return;
            if (ended) _ = callers.remove(token);
            setEffectiveContext(id) catch return;
            onEither(id, name, arguments, {});
        }

        fn start(id: u32, size: usize) callconv(.c) u32 {
            return @intFromBool(onRoot(id, "onStart", .{size}, true));
        }
        fn validate(id: u32, size: usize) callconv(.c) u32 {
            return @intFromBool(onRoot(id, "validateConfiguration", .{size}, true));
        }
        fn configure(id: u32, size: usize) callconv(.c) u32 {
            return @intFromBool(onRoot(id, "onConfigure", .{size}, true));
        }
        fn tick(id: u32) callconv(.c) void {
            onRoot(id, "onTick", .{}, {});
        }
        fn queueReady(id: u32, queue: u32) callconv(.c) void {
            onRoot(id, "onQueueReady", .{queue}, {});
        }
        fn foreign(id: u32, function: u32, size: usize) callconv(.c) void {
            onRoot(id, "onForeignFunction", .{ function, size }, {});
        }

        fn requestHeaders(id: u32, count: u32, end: u32) callconv(.c) Action {
            return onStream(id, "onRequestHeaders", .{ count, end != 0 }, Action.@"continue");
        }
        fn requestBody(id: u32, size: usize, end: u32) callconv(.c) Action {
            return onStream(id, "onRequestBody", .{ size, end != 0 }, Action.@"continue");
        }
        fn requestTrailers(id: u32, count: u32) callconv(.c) Action {
            return onStream(id, "onRequestTrailers", .{count}, Action.@"continue");
        }
        fn responseHeaders(id: u32, count: u32, end: u32) callconv(.c) Action {
            return onStream(id, "onResponseHeaders", .{ count, end != 0 }, Action.@"continue");
        }
        fn responseBody(id: u32, size: usize, end: u32) callconv(.c) Action {
            return onStream(id, "onResponseBody", .{ size, end != 0 }, Action.@"continue");
        }
        fn responseTrailers(id: u32, count: u32) callconv(.c) Action {
            return onStream(id, "onResponseTrailers", .{count}, Action.@"continue");
        }
        fn newConnection(id: u32) callconv(.c) Action {
            return onStream(id, "onNewConnection", .{}, Action.@"continue");
        }
        fn downstreamData(id: u32, size: usize, end: u32) callconv(.c) Action {
            return onStream(id, "onDownstreamData", .{ size, end != 0 }, Action.@"continue");
        }
        fn upstreamData(id: u32, size: usize, end: u32) callconv(.c) Action {
            return onStream(id, "onUpstreamData", .{ size, end != 0 }, Action.@"continue");
        }
        fn downstreamClose(id: u32, peer: PeerType) callconv(.c) void {
            onStream(id, "onDownstreamConnectionClose", .{peer}, {});
        }
        fn upstreamClose(id: u32, peer: PeerType) callconv(.c) void {
            onStream(id, "onUpstreamConnectionClose", .{peer}, {});
        }

        fn httpResponse(_: u32, token: u32, headers: u32, body: usize, trailers: u32) callconv(.c) void {
            onCaller(token, true, "onHttpCallResponse", .{ token, headers, body, trailers });
        }
        fn grpcInitial(_: u32, token: u32, headers: u32) callconv(.c) void {
            onCaller(token, false, "onGrpcReceiveInitialMetadata", .{ token, headers });
        }
        fn grpcReceive(_: u32, token: u32, size: usize) callconv(.c) void {
            onCaller(token, false, "onGrpcReceive", .{ token, size });
        }
        fn grpcTrailing(_: u32, token: u32, trailers: u32) callconv(.c) void {
            onCaller(token, false, "onGrpcReceiveTrailingMetadata", .{ token, trailers });
        }
        fn grpcEnd(_: u32, token: u32, status: GrpcStatus) callconv(.c) void {
            onCaller(token, true, "onGrpcClose", .{ token, status });
        }

        fn isDone(id: u32) callconv(.c) u32 {
            return @intFromBool(onEither(id, "onDone", .{}, true));
        }
        fn logs(id: u32) callconv(.c) void {
            onEither(id, "onLog", .{}, {});
        }
    };

    @export(&Entry.version, .{ .name = "proxy_abi_version_0_2_1" });
    @export(&Entry.allocate, .{ .name = "proxy_on_memory_allocate" });
    @export(&Entry.create, .{ .name = "proxy_on_context_create" });
    @export(&Entry.delete, .{ .name = "proxy_on_delete" });
    const callbacks = .{
        .{ "onStart", &Entry.start, "proxy_on_vm_start" },
        .{ "validateConfiguration", &Entry.validate, "proxy_validate_configuration" },
        .{ "onConfigure", &Entry.configure, "proxy_on_configure" },
        .{ "onTick", &Entry.tick, "proxy_on_tick" },
        .{ "onQueueReady", &Entry.queueReady, "proxy_on_queue_ready" },
        .{ "onForeignFunction", &Entry.foreign, "proxy_on_foreign_function" },
        .{ "onRequestHeaders", &Entry.requestHeaders, "proxy_on_request_headers" },
        .{ "onRequestBody", &Entry.requestBody, "proxy_on_request_body" },
        .{ "onRequestTrailers", &Entry.requestTrailers, "proxy_on_request_trailers" },
        .{ "onResponseHeaders", &Entry.responseHeaders, "proxy_on_response_headers" },
        .{ "onResponseBody", &Entry.responseBody, "proxy_on_response_body" },
        .{ "onResponseTrailers", &Entry.responseTrailers, "proxy_on_response_trailers" },
        .{ "onNewConnection", &Entry.newConnection, "proxy_on_new_connection" },
        .{ "onDownstreamData", &Entry.downstreamData, "proxy_on_downstream_data" },
        .{ "onUpstreamData", &Entry.upstreamData, "proxy_on_upstream_data" },
        .{ "onDownstreamConnectionClose", &Entry.downstreamClose, "proxy_on_downstream_connection_close" },
        .{ "onUpstreamConnectionClose", &Entry.upstreamClose, "proxy_on_upstream_connection_close" },
        .{ "onHttpCallResponse", &Entry.httpResponse, "proxy_on_http_call_response" },
        .{ "onGrpcReceiveInitialMetadata", &Entry.grpcInitial, "proxy_on_grpc_receive_initial_metadata" },
        .{ "onGrpcReceive", &Entry.grpcReceive, "proxy_on_grpc_receive" },
        .{ "onGrpcReceiveTrailingMetadata", &Entry.grpcTrailing, "proxy_on_grpc_receive_trailing_metadata" },
        .{ "onGrpcClose", &Entry.grpcEnd, "proxy_on_grpc_close" },
        .{ "onDone", &Entry.isDone, "proxy_on_done" },
        .{ "onLog", &Entry.logs, "proxy_on_log" },
    };
    inline for (callbacks) |callback| {
        if (@hasDecl(RootContext, callback[0]) or @hasDecl(Context, callback[0])) {
            @export(callback[1], .{ .name = callback[2] });
        }
    }
}
