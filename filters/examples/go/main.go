// The tour of Proxy-Wasm, in Go: what each part does is in filters/examples/README.md.
package main

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

const (
	language = "go"
	ticks    = "tour.ticks"
)

// Never called: the module is a library, and init registers it.
func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	// The upstream that /ask asks.
	upstream string
	requests proxywasm.MetricCounter
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	upstream, err := proxywasm.GetPluginConfiguration()
	if err != nil || len(upstream) == 0 {
		proxywasm.LogError("configuration refused: it must be the name of an upstream")
		return types.OnPluginStartStatusFailed
	}
	p.upstream = string(upstream)
	p.requests = proxywasm.DefineCounterMetric("tour.requests")
	if err := proxywasm.SetTickPeriodMilliSeconds(100); err != nil {
		proxywasm.LogErrorf("no tick: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (*plugin) OnTick() {
	// No value yet: zero ticks, and a cas of 0, which sets without comparing.
	value, cas, _ := proxywasm.GetSharedData(ticks)
	count, _ := strconv.ParseUint(string(value), 10, 64)
	err := proxywasm.SetSharedData(ticks, []byte(strconv.FormatUint(count+1, 10)), cas)
	// At a mismatch another VM was faster: its tick counts.
	if err != nil && !errors.Is(err, types.ErrorStatusCasMismatch) {
		proxywasm.LogWarnf("the tick cannot be counted: %v", err)
	}
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	s.plugin.requests.Increment(1)
	warn(proxywasm.ReplaceHttpRequestHeader("x-tour", language))
	// Text in a compressed body cannot be found.
	warn(proxywasm.RemoveHttpRequestHeader("accept-encoding"))
	path, err := proxywasm.GetHttpRequestHeader(":path")
	warn(err)
	switch {
	case strings.HasPrefix(path, "/private"):
		headers := [][2]string{{"x-tour", language}}
		warn(proxywasm.SendHttpResponse(403, headers, []byte("private\n"), -1))
		return types.ActionPause
	case strings.HasPrefix(path, "/ask"):
		return s.ask()
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(int, bool) types.Action {
	warn(proxywasm.ReplaceHttpResponseHeader("x-tour", language))
	requests := strconv.FormatUint(s.plugin.requests.Value(), 10)
	warn(proxywasm.ReplaceHttpResponseHeader("x-tour-requests", requests))
	if value, _, err := proxywasm.GetSharedData(ticks); err == nil {
		warn(proxywasm.ReplaceHttpResponseHeader("x-tour-ticks", string(value)))
	}
	// The body may get another length.
	warn(proxywasm.RemoveHttpResponseHeader("content-length"))
	return types.ActionContinue
}

func (*stream) OnHttpResponseBody(_ int, endOfStream bool) types.Action {
	if !endOfStream {
		return types.ActionPause
	}
	rewrite()
	return types.ActionContinue
}

func (*stream) OnHttpResponseTrailers(int) types.Action {
	// With trailers, it is they that end the message; the body held back is still there.
	rewrite()
	return types.ActionContinue
}

// Asks the upstream and holds the request back until it has answered.
func (s *stream) ask() types.Action {
	headers := [][2]string{
		{":method", "GET"},
		{":path", "/asked"},
		{":authority", "tour"},
		{"x-tour", language},
	}
	_, err := proxywasm.DispatchHttpCall(s.plugin.upstream, headers, nil, nil, 5000, answered)
	if err != nil {
		proxywasm.LogWarnf("upstream %q cannot be asked: %v", s.plugin.upstream, err)
		return types.ActionContinue
	}
	return types.ActionPause
}

// The SDK calls this with the context of the stream that asked.
func answered(int, int, int) {
	// A call that failed has no headers at all.
	answer := "none"
	headers, _ := proxywasm.GetHttpCallResponseHeaders()
	for _, header := range headers {
		if header[0] == ":status" {
			answer = header[1]
		}
	}
	warn(proxywasm.ReplaceHttpRequestHeader("x-tour-answer", answer))
	warn(proxywasm.ResumeHttpRequest())
}

func rewrite() {
	body, err := proxywasm.GetHttpResponseBody(0, math.MaxInt32)
	if errors.Is(err, types.ErrorStatusNotFound) {
		return
	}
	warn(err)
	warn(proxywasm.ReplaceHttpResponseBody(bytes.ReplaceAll(body, []byte("hedgehog"), []byte("porcupine"))))
}

func warn(err error) {
	if err != nil {
		proxywasm.LogWarn(err.Error())
	}
}
