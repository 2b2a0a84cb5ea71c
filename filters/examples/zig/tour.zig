//! The tour of Proxy-Wasm, in Zig: what each part does is in filters/examples/README.md.

const std = @import("std");
const proxy_wasm = @import("proxy_wasm");

const Action = proxy_wasm.Action;
const allocator = proxy_wasm.allocator;
const language = "zig";
const ticks_key = "tour.ticks";

comptime {
    proxy_wasm.filter(RootContext, Context);
}

const RootContext = struct {
    /// The upstream that `/ask` asks.
    upstream: []const u8 = "",
    /// The counter of requests.
    requests: u32 = 0,

    pub fn init(_: u32) RootContext {
        return .{};
    }

    pub fn onConfigure(self: *RootContext, _: usize) bool {
        self.configure() catch |err| {
            proxy_wasm.logf(.err, "configuration refused: {s}", .{@errorName(err)});
            return false;
        };
        return true;
    }

    fn configure(self: *RootContext) !void {
        self.upstream = try proxy_wasm.getBuffer(.plugin_configuration);
        if (self.upstream.len == 0) return error.ItMustBeTheNameOfAnUpstream;
        self.requests = try proxy_wasm.defineMetric(.counter, "tour.requests");
        try proxy_wasm.setTickPeriodMilliseconds(100);
    }

    pub fn onTick(_: *RootContext) void {
        countTick() catch |err| switch (err) {
            // Another VM was faster: its tick counts.
            error.CasMismatch => {},
            else => proxy_wasm.logf(.warn, "the tick cannot be counted: {s}", .{@errorName(err)}),
        };
    }

    fn countTick() !void {
        var ticks: u64 = 0;
        // Sets without comparing.
        var cas: u32 = 0;
        if (proxy_wasm.getSharedData(ticks_key)) |shared| {
            defer allocator.free(shared.value);
            ticks = std.fmt.parseInt(u64, shared.value, 10) catch 0;
            cas = shared.cas;
        } else |_| {}
        var buffer: [20]u8 = undefined;
        try proxy_wasm.setSharedData(ticks_key, try std.fmt.bufPrint(&buffer, "{d}", .{ticks + 1}), cas);
    }
};

const Context = struct {
    id: u32,
    root: *RootContext,

    pub fn init(id: u32, root: *RootContext) Context {
        return .{ .id = id, .root = root };
    }

    pub fn onRequestHeaders(self: *Context, _: u32, _: bool) Action {
        return self.request() catch |err| warned(err);
    }

    pub fn onResponseHeaders(self: *Context, _: u32, _: bool) Action {
        self.response() catch |err| return warned(err);
        return .@"continue";
    }

    pub fn onResponseBody(_: *Context, _: usize, end_of_stream: bool) Action {
        if (!end_of_stream) return .pause;
        rewrite() catch |err| return warned(err);
        return .@"continue";
    }

    pub fn onResponseTrailers(_: *Context, _: u32) Action {
        // With trailers, it is they that end the message; the body held back is still there.
        rewrite() catch |err| return warned(err);
        return .@"continue";
    }

    pub fn onHttpCallResponse(_: *Context, _: u32, headers: u32, _: usize, _: u32) void {
        answered(headers) catch |err| {
            _ = warned(err);
        };
    }

    fn request(self: *Context) !Action {
        try proxy_wasm.incrementMetric(self.root.requests, 1);
        try proxy_wasm.replaceHeaderMapValue(.request_headers, "x-tour", language);
        // Text in a compressed body cannot be found.
        try proxy_wasm.removeHeaderMapValue(.request_headers, "accept-encoding");
        const path = try proxy_wasm.getHeaderMapValue(.request_headers, ":path");
        defer allocator.free(path);
        if (std.mem.startsWith(u8, path, "/private")) {
            try proxy_wasm.sendLocalResponse(.{
                .status = 403,
                .body = "private\n",
                .headers = &.{.{ .name = "x-tour", .value = language }},
            });
            return .pause;
        }
        if (!std.mem.startsWith(u8, path, "/ask")) return .@"continue";
        // Holds the request back until the upstream has answered.
        _ = try proxy_wasm.httpCall(self.id, .{
            .upstream = self.root.upstream,
            .headers = &.{
                .{ .name = ":method", .value = "GET" },
                .{ .name = ":path", .value = "/asked" },
                .{ .name = ":authority", .value = "tour" },
                .{ .name = "x-tour", .value = language },
            },
            .timeout_milliseconds = 5000,
        });
        return .pause;
    }

    fn answered(headers: u32) !void {
        // A call that failed has no headers at all.
        if (headers == 0) {
            try proxy_wasm.replaceHeaderMapValue(.request_headers, "x-tour-answer", "none");
        } else {
            const status = try proxy_wasm.getHeaderMapValue(.http_call_response_headers, ":status");
            defer allocator.free(status);
            try proxy_wasm.replaceHeaderMapValue(.request_headers, "x-tour-answer", status);
        }
        try proxy_wasm.continueStream(.http_request);
    }

    fn response(self: *Context) !void {
        try proxy_wasm.replaceHeaderMapValue(.response_headers, "x-tour", language);
        var buffer: [20]u8 = undefined;
        const requests = try std.fmt.bufPrint(&buffer, "{d}", .{try proxy_wasm.getMetric(self.root.requests)});
        try proxy_wasm.replaceHeaderMapValue(.response_headers, "x-tour-requests", requests);
        if (proxy_wasm.getSharedData(ticks_key)) |shared| {
            defer allocator.free(shared.value);
            try proxy_wasm.replaceHeaderMapValue(.response_headers, "x-tour-ticks", shared.value);
        } else |_| {}
        // The body may get another length.
        try proxy_wasm.removeHeaderMapValue(.response_headers, "content-length");
    }

    fn rewrite() !void {
        const body = proxy_wasm.getBuffer(.http_response_body) catch |err| switch (err) {
            error.NotFound => return,
            else => return err,
        };
        defer allocator.free(body);
        const rewritten = try std.mem.replaceOwned(u8, allocator, body, "hedgehog", "porcupine");
        defer allocator.free(rewritten);
        try proxy_wasm.replaceBuffer(.http_response_body, rewritten);
    }

    fn warned(err: anyerror) Action {
        proxy_wasm.logf(.warn, "{s}", .{@errorName(err)});
        return .@"continue";
    }
};
