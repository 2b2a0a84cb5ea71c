package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// Counters, with the names of coraza-proxy-wasm.
type metrics struct {
	labels        string
	transactions  proxywasm.MetricCounter
	interruptions map[string]proxywasm.MetricCounter
}

func newMetrics(labels map[string]string) *metrics {
	var pairs []string
	for name, value := range labels {
		pairs = append(pairs, fmt.Sprintf("_%s=%s", name, value))
	}
	sort.Strings(pairs)
	return &metrics{
		labels:        strings.Join(pairs, ""),
		transactions:  proxywasm.DefineCounterMetric("waf_filter.tx.total"),
		interruptions: map[string]proxywasm.MetricCounter{},
	}
}

// Counts a transaction that a rule has ended.
func (m *metrics) interrupted(rule int, phase string) {
	name := fmt.Sprintf("waf_filter.tx.interruptions_ruleid=%d_phase=%s%s", rule, phase, m.labels)
	counter, found := m.interruptions[name]
	if !found {
		counter = proxywasm.DefineCounterMetric(name)
		m.interruptions[name] = counter
	}
	counter.Increment(1)
}
