package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	ctypes "github.com/corazawaf/coraza/v3/types"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// The configuration, in the format of coraza-proxy-wasm.
type config struct {
	// Named rule sets: SecLang lines.
	DirectivesMap map[string][]string `json:"directives_map"`
	// The rule set of requests whose authority is not below.
	DefaultDirectives string `json:"default_directives"`
	// The rule set of each authority.
	PerAuthorityDirectives map[string]string `json:"per_authority_directives"`
	// Pairs that the names of metrics end with.
	MetricLabels map[string]string `json:"metric_labels"`
}

func parse(data []byte) (config, error) {
	var parsed config
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&parsed); err != nil {
		return parsed, fmt.Errorf("no JSON object with directives_map: %w", err)
	}
	if len(parsed.DirectivesMap) == 0 {
		return parsed, fmt.Errorf("directives_map is empty")
	}
	if name := parsed.DefaultDirectives; name != "" {
		if _, found := parsed.DirectivesMap[name]; !found {
			return parsed, fmt.Errorf("default_directives: directives_map has no %q", name)
		}
	}
	for authority, name := range parsed.PerAuthorityDirectives {
		if _, found := parsed.DirectivesMap[name]; !found {
			return parsed, fmt.Errorf("per_authority_directives: %q: directives_map has no %q", authority, name)
		}
	}
	if parsed.DefaultDirectives == "" && len(parsed.PerAuthorityDirectives) == 0 {
		return parsed, fmt.Errorf("neither default_directives nor per_authority_directives names a rule set")
	}
	return parsed, nil
}

// Builds a rule set. An error names the set, and file, line or rule as Coraza does.
func newWAF(name string, directives []string) (coraza.WAF, error) {
	// Audit records leave through this filter's own writer: a module has no files.
	lines := append([]string{"SecAuditLogType proxy", "SecAuditLogFormat JSON"}, directives...)
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().
		WithErrorCallback(logMatch).
		WithRootFS(ruleFiles{coreruleset.FS}).
		WithDirectives(strings.Join(lines, "\n")))
	if err != nil {
		return nil, fmt.Errorf("directives_map: %q: %w", name, err)
	}
	return waf, nil
}

// Logs a rule that matched, at the level of its severity.
func logMatch(rule ctypes.MatchedRule) {
	text := rule.ErrorLog()
	switch rule.Rule().Severity() {
	case ctypes.RuleSeverityEmergency, ctypes.RuleSeverityAlert, ctypes.RuleSeverityCritical:
		proxywasm.LogCritical(text)
	case ctypes.RuleSeverityError:
		proxywasm.LogError(text)
	case ctypes.RuleSeverityWarning:
		proxywasm.LogWarn(text)
	case ctypes.RuleSeverityNotice, ctypes.RuleSeverityInfo:
		proxywasm.LogInfo(text)
	default:
		proxywasm.LogDebug(text)
	}
}

// The rule files inside of the module: those of the Core Rule Set, and those that coraza-proxy-wasm has.
type ruleFiles struct{ fs.FS }

// Names of coraza-proxy-wasm, as the Core Rule Set's module calls them.
var aliases = map[string]string{
	"@recommended-conf":    "@coraza.conf-recommended",
	"@crs-setup-conf":      "@crs-setup.conf.example",
	"@crs-setup-demo-conf": "@crs-setup.conf.example",
}

func (f ruleFiles) name(path string) string {
	if at := strings.Index(path, "@"); at >= 0 {
		path = path[at:]
	}
	if name, found := aliases[path]; found {
		return name
	}
	return path
}

func (f ruleFiles) Open(path string) (fs.File, error) { return f.FS.Open(f.name(path)) }

func (f ruleFiles) ReadFile(path string) ([]byte, error) {
	name := f.name(path)
	if name == "@demo-conf" {
		text, err := fs.ReadFile(f.FS, "@coraza.conf-recommended")
		return append(text, "\nSecRuleEngine On\n"...), err
	}
	text, err := fs.ReadFile(f.FS, name)
	if name == "@coraza.conf-recommended" {
		text = withoutAudit(text)
	}
	return text, err
}

// The recommended configuration writes the audit log to a file, which a module does not have.
func withoutAudit(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	kept := lines[:0:0]
	for _, line := range lines {
		if !bytes.HasPrefix(line, []byte("SecAuditLogType ")) && !bytes.HasPrefix(line, []byte("SecAuditLog ")) &&
			!bytes.HasPrefix(line, []byte("SecAuditLogFormat ")) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, []byte("\n"))
}

func (f ruleFiles) ReadDir(path string) ([]fs.DirEntry, error) { return fs.ReadDir(f.FS, f.name(path)) }

func (f ruleFiles) Glob(pattern string) ([]string, error) { return fs.Glob(f.FS, f.name(pattern)) }

// Unique in all VMs, also in those that a snapshot has given the same random numbers.
func transactionID(context uint32) string {
	return fmt.Sprintf("%x-%x", time.Now().UnixNano(), context)
}
