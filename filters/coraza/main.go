// Coraza with the OWASP Core Rule Set as a Proxy-Wasm filter. README.md beside this file says how it is built and configured.
package main

import (
	"github.com/corazawaf/coraza/v3"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Never called: the module is a library, and init registers it.
func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

// One configuration of the filter.
type plugin struct {
	types.DefaultPluginContext
	// The rule set of each authority that has its own.
	perAuthority map[string]coraza.WAF
	// The rule set of all others; nil if there is none, and then such requests are refused.
	fallback coraza.WAF
	metrics  *metrics
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := proxywasm.GetPluginConfiguration()
	if err == nil || err == types.ErrorStatusNotFound {
		err = p.configure(data)
	}
	if err != nil {
		proxywasm.LogErrorf("configuration refused: %v", err)
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) configure(data []byte) error {
	config, err := parse(data)
	if err != nil {
		return err
	}
	p.metrics = newMetrics(config.MetricLabels)
	sets := map[string]coraza.WAF{}
	for name, directives := range config.DirectivesMap {
		set, err := newWAF(name, directives)
		if err != nil {
			return err
		}
		sets[name] = set
	}
	p.fallback = sets[config.DefaultDirectives]
	p.perAuthority = map[string]coraza.WAF{}
	for authority, name := range config.PerAuthorityDirectives {
		p.perAuthority[authority] = sets[name]
	}
	return nil
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{plugin: p, id: id} }

// The rule set of an authority, or nil.
func (p *plugin) waf(authority string) coraza.WAF {
	if waf, found := p.perAuthority[authority]; found {
		return waf
	}
	return p.fallback
}
