// A guest of the Go SDK that goes to each limit of the host at each request, and answers with the number of requests that it has
// survived.
package main

import (
	"fmt"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }
type plugin struct{ types.DefaultPluginContext }
type stream struct{ types.DefaultHttpContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }
func (*plugin) NewHttpContext(uint32) types.HttpContext { return &stream{} }

var survived int

func (*stream) OnHttpRequestHeaders(int, bool) types.Action {
	for number := 0; number < 10100; number++ {
		metric := proxywasm.DefineCounterMetric(fmt.Sprintf("go.%d", number))
		metric.Increment(1)
		metric.Value()
	}
	must(proxywasm.SetTickPeriodMilliSeconds(3600000))
	entry := make([]byte, 64<<10)
	for number := 0; number < 1100; number++ {
		queue, err := proxywasm.RegisterSharedQueue(fmt.Sprintf("queue-%d", number))
		must(err)
		_ = proxywasm.EnqueueSharedQueue(queue, entry)
	}
	mebibyte := make([]byte, 1<<20)
	for number := 0; number < 70; number++ {
		_ = proxywasm.SetSharedData(fmt.Sprintf("key-%d", number), mebibyte, 0)
		must(proxywasm.SetProperty([]string{fmt.Sprintf("note-%d", number)}, mebibyte))
		proxywasm.LogWarn(strings.Repeat("x", 64<<10))
	}
	var lines [][2]string
	for number := 0; number < 1100; number++ {
		lines = append(lines, [2]string{fmt.Sprintf("x-%d", number), "v"})
	}
	must(proxywasm.ReplaceHttpRequestHeaders(lines))
	for number := 0; number < 20; number++ {
		// The last ones are over limits.http_calls.
		call := [][2]string{{":method", "GET"}, {":path", "/"}, {":authority", "silent"}}
		_, _ = proxywasm.DispatchHttpCall("silent", call, mebibyte, nil, 1000, func(int, int, int) {})
		_, _ = proxywasm.DispatchHttpCall("silent", append(call, lines...), nil, nil, 1000, func(int, int, int) {})
	}
	survived++
	must(proxywasm.SendHttpResponse(200, nil, []byte(fmt.Sprint(survived)), -1))
	return types.ActionPause
}

// At limits of hostcalls that have no other status than Ok in the SDKs' lists.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
