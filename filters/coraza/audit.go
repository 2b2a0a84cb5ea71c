package main

import (
	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

func init() {
	plugins.RegisterAuditLogWriter("proxy", func() plugintypes.AuditLogWriter { return &auditWriter{} })
}

// Writes audit records to the proxy's log, one line each: "audit " and JSON.
type auditWriter struct {
	formatter plugintypes.AuditLogFormatter
}

func (w *auditWriter) Init(config plugintypes.AuditLogConfig) error {
	w.formatter = config.Formatter
	return nil
}

func (w *auditWriter) Write(record plugintypes.AuditLog) error {
	text, err := w.formatter.Format(record)
	if err == nil && len(text) > 0 {
		proxywasm.LogInfo("audit " + string(text))
	}
	return err
}

func (*auditWriter) Close() error { return nil }
