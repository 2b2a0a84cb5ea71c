//! Makes every hostcall through the SDK, and answers with those whose result is not as it must be. The test that runs it is
//! crates/testkit/tests/languages.rs: a POST to "/" with the header "x-one: 1" and the body "body", and one with "x-close".

const std = @import("std");
const sdk = @import("proxy_wasm");

const Action = sdk.Action;

comptime {
    sdk.filter(RootContext, Context);
}

const RootContext = struct {
    upstream: []const u8 = "",

    pub fn init(_: u32) RootContext {
        return .{};
    }

    pub fn onConfigure(self: *RootContext, size: usize) bool {
        self.upstream = sdk.getBuffer(.plugin_configuration) catch return false;
        return self.upstream.len == size;
    }
};

const Context = struct {
    id: u32,
    root: *RootContext,
    faults: [1024]u8 = undefined,
    length: usize = 0,

    pub fn init(id: u32, root: *RootContext) Context {
        return .{ .id = id, .root = root };
    }

    pub fn onRequestHeaders(self: *Context, count: u32, _: bool) Action {
        if (sdk.getHeaderMapValue(.request_headers, "x-close")) |value| {
            sdk.allocator.free(value);
            sdk.closeStream(.http_request) catch return .@"continue";
            return .pause;
        } else |_| {}
        self.headers(count) catch |err| self.fault(@errorName(err));
        return .@"continue";
    }

    pub fn onRequestBody(self: *Context, size: usize, end_of_stream: bool) Action {
        if (!end_of_stream) return .pause;
        self.body(size) catch |err| self.fault(@errorName(err));
        self.pairs() catch |err| self.fault(@errorName(err));
        self.simple() catch |err| self.fault(@errorName(err));
        self.shared() catch |err| self.fault(@errorName(err));
        self.metrics() catch |err| self.fault(@errorName(err));
        self.grpc();
        self.older();
        self.refused("no upstream", error.BadArgument, self.call("nobody"));
        _ = self.call(self.root.upstream) catch |err| self.fault(@errorName(err));
        return .pause;
    }

    pub fn onHttpCallResponse(self: *Context, _: u32, count: u32, size: usize, _: u32) void {
        self.answer(count, size) catch |err| self.fault(@errorName(err));
        const faults = self.faults[0..self.length];
        sdk.sendLocalResponse(.{
            .status = 200,
            .details = "details",
            .body = if (faults.len == 0) "all as it must be\n" else faults,
        }) catch |err| sdk.logf(.err, "no answer: {s}", .{@errorName(err)});
    }

    fn headers(self: *Context, count: u32) !void {
        const before = try sdk.getHeaderMapPairs(.request_headers);
        defer before.deinit();
        self.expect("pairs", before.items.len == count);
        try sdk.setHeaderMapPairs(.request_headers, before.items);
        const after = try sdk.getHeaderMapPairs(.request_headers);
        defer after.deinit();
        self.expect("pairs again", std.mem.eql(u8, before.bytes, after.bytes));
        self.expect("size", try sdk.getHeaderMapSize(.request_headers) > 0);
        self.equal("header", "1", try sdk.getHeaderMapValue(.request_headers, "x-one"));
        self.refused("no header", error.NotFound, sdk.getHeaderMapValue(.request_headers, "x-none"));
        try sdk.addHeaderMapValue(.request_headers, "x-two", "a");
        try sdk.addHeaderMapValue(.request_headers, "x-two", "b");
        self.equal("added", "a", try sdk.getHeaderMapValue(.request_headers, "x-two"));
        try sdk.replaceHeaderMapValue(.request_headers, "x-two", "c");
        const replaced = try sdk.getHeaderMapPairs(.request_headers);
        defer replaced.deinit();
        self.expect("replaced", replaced.items.len == count + 1);
        try sdk.removeHeaderMapValue(.request_headers, "x-two");
        self.refused("removed", error.NotFound, sdk.getHeaderMapValue(.request_headers, "x-two"));
    }

    fn body(self: *Context, size: usize) !void {
        const status = try sdk.getBufferStatus(.http_request_body);
        self.expect("buffer status", status.length == size and size == 4);
        self.equal("buffer", "od", try sdk.getBufferBytes(.http_request_body, 1, 2));
        try sdk.replaceBuffer(.http_request_body, "another");
        self.equal("buffer again", "another", try sdk.getBuffer(.http_request_body));
    }

    /// What is no pairs is not taken for some.
    fn pairs(self: *Context) !void {
        const bytes = try sdk.serialize(&.{
            .{ .name = "a", .value = "1" },
            .{ .name = "", .value = "" },
            .{ .name = "b", .value = "\x00\xff" },
        });
        defer sdk.allocator.free(bytes);
        const whole = try sdk.deserialize(try sdk.allocator.dupe(u8, bytes));
        defer whole.deinit();
        self.expect("deserialize", whole.items.len == 3 and std.mem.eql(u8, whole.items[2].value, "\x00\xff"));
        for (1..bytes.len) |size| {
            const cut = try sdk.allocator.dupe(u8, bytes[0..size]);
            self.refused("cut pairs", error.ParseFailure, sdk.deserialize(cut));
        }
        const many = try sdk.allocator.alloc(u8, 64);
        @memset(many, 0xff);
        self.refused("many pairs", error.ParseFailure, sdk.deserialize(many));
    }

    fn simple(self: *Context) !void {
        sdk.log(.info, "i");
        sdk.logf(.debug, "{d}", .{1});
        _ = try sdk.getLogLevel();
        self.expect("time", try sdk.getCurrentTimeNanoseconds() > 1_500_000_000_000_000_000);
        try sdk.setTickPeriodMilliseconds(0);
        try sdk.setEffectiveContext(self.id);
        self.refused("no context", error.BadArgument, sdk.setEffectiveContext(123456));
        // Nothing is deferred, so that nothing happens.
        try sdk.done();
        self.equal("property", "/", try sdk.getProperty(&.{ "request", "path" }));
        self.refused("no property", error.NotFound, sdk.getProperty(&.{ "no", "property" }));
        try sdk.setProperty(&.{ "tests", "one" }, "1");
        self.equal("property again", "1", try sdk.getProperty(&.{ "tests", "one" }));
        try sdk.continueStream(.http_request);
        self.refused("foreign", error.NotFound, sdk.callForeignFunction("no_such_function", "x"));
    }

    fn shared(self: *Context) !void {
        self.refused("no data", error.NotFound, sdk.getSharedData("zig.none"));
        try sdk.setSharedData("zig.key", "one", 0);
        const data = try sdk.getSharedData("zig.key");
        self.equal("data", "one", data.value);
        try sdk.setSharedData("zig.key", "two", data.cas);
        self.refused("mismatch", error.CasMismatch, sdk.setSharedData("zig.key", "three", data.cas));
        const queue = try sdk.registerSharedQueue("zig.queue");
        self.expect("resolve", try sdk.resolveSharedQueue("", "zig.queue") == queue);
        try sdk.enqueueSharedQueue(queue, "value");
        self.equal("dequeue", "value", try sdk.dequeueSharedQueue(queue));
        self.refused("empty", error.Empty, sdk.dequeueSharedQueue(queue));
    }

    fn metrics(self: *Context) !void {
        const counter = try sdk.defineMetric(.counter, "zig.counter");
        const gauge = try sdk.defineMetric(.gauge, "zig.gauge");
        const before = try sdk.getMetric(counter);
        try sdk.incrementMetric(counter, 3);
        self.expect("counter", try sdk.getMetric(counter) == before + 3);
        try sdk.recordMetric(gauge, 1 << 40);
        try sdk.incrementMetric(gauge, -1);
        self.expect("gauge", try sdk.getMetric(gauge) == (1 << 40) - 1);
    }

    /// No proxy has a transport for gRPC: what is asked for is refused.
    fn grpc(self: *Context) void {
        self.fails("grpc call", sdk.grpcCall(self.id, .{
            .upstream = "nobody",
            .service = "service",
            .method = "method",
            .message = "message",
            .timeout_milliseconds = 1000,
        }));
        self.fails("grpc stream", sdk.grpcStream(self.id, .{
            .upstream = "nobody",
            .service = "service",
            .method = "method",
        }));
        self.fails("grpc send", sdk.grpcSend(123456, "message", true));
        self.fails("grpc cancel", sdk.grpcCancel(123456));
        self.fails("grpc close", sdk.grpcClose(123456));
    }

    fn older(self: *Context) void {
        var data: ?[*]u8 = null;
        var size: usize = 0;
        // No configuration is to be had in this callback.
        _ = sdk.abi.proxy_get_configuration(&data, &size);
        self.expect("continue request", sdk.abi.proxy_continue_request() == .ok);
        self.expect("continue response", sdk.abi.proxy_continue_response() == .ok);
        self.expect("clear route cache", sdk.abi.proxy_clear_route_cache() == .ok);
    }

    fn call(self: *Context, upstream: []const u8) sdk.Error!u32 {
        return sdk.httpCall(self.id, .{
            .upstream = upstream,
            .headers = &.{
                .{ .name = ":method", .value = "POST" },
                .{ .name = ":path", .value = "/asked" },
                .{ .name = ":authority", .value = "tests" },
            },
            .body = "asked",
            .timeout_milliseconds = 5000,
        });
    }

    fn answer(self: *Context, count: u32, size: usize) !void {
        self.expect("answer", count > 0);
        self.equal("status", "200", try sdk.getHeaderMapValue(.http_call_response_headers, ":status"));
        const bytes = try sdk.getBuffer(.http_call_response_body);
        defer sdk.allocator.free(bytes);
        self.expect("answer's body", bytes.len == size);
        const status = try sdk.getStatus();
        sdk.allocator.free(status.message);
    }

    fn fault(self: *Context, what: []const u8) void {
        const line = std.fmt.bufPrint(self.faults[self.length..], "{s}\n", .{what}) catch return;
        self.length += line.len;
    }

    fn expect(self: *Context, what: []const u8, as_it_must_be: bool) void {
        if (!as_it_must_be) self.fault(what);
    }

    /// Frees `found`.
    fn equal(self: *Context, what: []const u8, expected: []const u8, found: []u8) void {
        self.expect(what, std.mem.eql(u8, expected, found));
        sdk.allocator.free(found);
    }

    fn refused(self: *Context, what: []const u8, expected: sdk.Error, result: anytype) void {
        if (result) |_| self.fault(what) else |err| self.expect(what, err == expected);
    }

    fn fails(self: *Context, what: []const u8, result: anytype) void {
        if (result) |_| self.fault(what) else |_| {}
    }
};
