package main

import (
	"encoding/binary"
	"math"
	"net"
	"strconv"
	"strings"

	ctypes "github.com/corazawaf/coraza/v3/types"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// One request with its response.
type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	// Nil before the request headers and for requests that no rule is for.
	tx       ctypes.Transaction
	protocol string
	request  body
	response body
	// An answer of this filter is on its way; nothing more is looked at.
	answered bool
}

// A body that is held back until the rules have seen all of it.
type body struct {
	// Bytes that the transaction has been given.
	read int
	// The phase of the body has run.
	done bool
}

func (s *stream) OnHttpRequestHeaders(_ int, endOfStream bool) types.Action {
	s.plugin.metrics.transactions.Increment(1)
	headers, err := proxywasm.GetHttpRequestHeaders()
	if err != nil {
		return s.failed("request headers", err)
	}
	pseudo := map[string]string{}
	for _, header := range headers {
		if strings.HasPrefix(header[0], ":") {
			pseudo[header[0]] = header[1]
		}
	}
	authority := pseudo[":authority"]
	waf := s.plugin.waf(authority)
	if waf == nil {
		proxywasm.LogErrorf("no rule set for the authority %q, and no default_directives: answered 403", authority)
		return s.answer(403, nil)
	}
	tx := waf.NewTransactionWithID(transactionID(s.id))
	s.tx = tx
	if tx.IsRuleEngineOff() {
		return types.ActionContinue
	}

	client, clientPort := address("source")
	server, serverPort := address("destination")
	tx.ProcessConnection(client, clientPort, server, serverPort)
	s.protocol = property("HTTP/1.1", "request", "protocol")
	tx.ProcessURI(pseudo[":path"], pseudo[":method"], s.protocol)
	for _, header := range headers {
		if !strings.HasPrefix(header[0], ":") && header[0] != "host" {
			tx.AddRequestHeader(header[0], header[1])
		}
	}
	tx.AddRequestHeader("Host", authority)
	name := authority
	if host, _, err := net.SplitHostPort(authority); err == nil {
		name = host
	}
	tx.SetServerName(name)
	if interruption := tx.ProcessRequestHeaders(); interruption != nil {
		return s.interrupted("http_request_headers", interruption)
	}
	if endOfStream {
		return s.endRequest()
	}
	// A pause here would stop the body too. Weir sends no headers before the first callback of the body has returned, which
	// then pauses.
	return types.ActionContinue
}

func (s *stream) OnHttpRequestBody(size int, endOfStream bool) types.Action {
	if s.answered {
		return types.ActionPause
	}
	if s.passes() || s.request.done {
		return types.ActionContinue
	}
	if s.tx.IsRequestBodyAccessible() && size > s.request.read {
		bytes, err := proxywasm.GetHttpRequestBody(s.request.read, size-s.request.read)
		if err != nil {
			return s.failed("request body", err)
		}
		s.request.read += len(bytes)
		interruption, _, err := s.tx.WriteRequestBody(bytes)
		if err != nil {
			return s.failed("request body", err)
		}
		if interruption != nil {
			return s.interrupted("http_request_body", interruption)
		}
	}
	if endOfStream {
		return s.endRequest()
	}
	return types.ActionPause
}

func (s *stream) OnHttpRequestTrailers(int) types.Action {
	// With trailers, it is they that end the message.
	return s.endRequest()
}

// Runs the phase of the request body, once.
func (s *stream) endRequest() types.Action {
	if s.answered {
		return types.ActionPause
	}
	if s.passes() || s.request.done {
		return types.ActionContinue
	}
	s.request.done = true
	interruption, err := s.tx.ProcessRequestBody()
	if err != nil {
		return s.failed("request body", err)
	}
	if interruption != nil {
		return s.interrupted("http_request_body", interruption)
	}
	return types.ActionContinue
}

func (s *stream) OnHttpResponseHeaders(_ int, endOfStream bool) types.Action {
	if s.passes() || s.answered {
		return types.ActionContinue
	}
	// A response that comes before the request has ended: the rules of its body have not spoken.
	if action := s.endRequest(); action != types.ActionContinue {
		return action
	}
	headers, err := proxywasm.GetHttpResponseHeaders()
	if err != nil {
		return s.failed("response headers", err)
	}
	status := 0
	for _, header := range headers {
		if header[0] == ":status" {
			status, _ = strconv.Atoi(header[1])
		} else {
			s.tx.AddResponseHeader(header[0], header[1])
		}
	}
	if interruption := s.tx.ProcessResponseHeaders(status, s.protocol); interruption != nil {
		return s.interrupted("http_response_headers", interruption)
	}
	if endOfStream || !s.tx.IsResponseBodyAccessible() || !s.tx.IsResponseBodyProcessable() {
		return s.endResponse()
	}
	// As for requests: the first callback of the body pauses.
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(size int, endOfStream bool) types.Action {
	if s.passes() || s.answered || s.response.done {
		return types.ActionContinue
	}
	if size > s.response.read {
		bytes, err := proxywasm.GetHttpResponseBody(s.response.read, size-s.response.read)
		if err != nil {
			return s.failed("response body", err)
		}
		s.response.read += len(bytes)
		interruption, _, err := s.tx.WriteResponseBody(bytes)
		if err != nil {
			return s.failed("response body", err)
		}
		if interruption != nil {
			return s.interrupted("http_response_body", interruption)
		}
	}
	if endOfStream {
		return s.endResponse()
	}
	return types.ActionPause
}

func (s *stream) OnHttpResponseTrailers(int) types.Action {
	if s.passes() || s.answered {
		return types.ActionContinue
	}
	return s.endResponse()
}

// Runs the phase of the response body, once.
func (s *stream) endResponse() types.Action {
	if s.response.done {
		return types.ActionContinue
	}
	s.response.done = true
	interruption, err := s.tx.ProcessResponseBody()
	if err != nil {
		return s.failed("response body", err)
	}
	if interruption != nil {
		return s.interrupted("http_response_body", interruption)
	}
	return types.ActionContinue
}

func (s *stream) OnHttpStreamDone() {
	if s.tx == nil {
		return
	}
	// Rules of the last phase, and the audit log.
	s.tx.ProcessLogging()
	if err := s.tx.Close(); err != nil {
		proxywasm.LogWarnf("the transaction cannot be closed: %v", err)
	}
	s.tx = nil
}

// True if no rule is to look at the rest.
func (s *stream) passes() bool { return s.tx == nil || s.tx.IsRuleEngineOff() }

// Answers as the rule wants.
func (s *stream) interrupted(phase string, interruption *ctypes.Interruption) types.Action {
	s.plugin.metrics.interrupted(interruption.RuleID, phase)
	if interruption.Action == "redirect" && interruption.Data != "" {
		status := interruption.Status
		if status < 300 || status > 399 {
			status = 302
		}
		return s.answer(status, [][2]string{{"location", interruption.Data}})
	}
	status := interruption.Status
	if status < 200 || status > 599 {
		status = 403
	}
	return s.answer(status, nil)
}

// Refuses what the rules could not look at.
func (s *stream) failed(what string, err error) types.Action {
	proxywasm.LogErrorf("the %s cannot be inspected: %v: answered 500", what, err)
	return s.answer(500, nil)
}

func (s *stream) answer(status int, headers [][2]string) types.Action {
	s.answered = true
	if err := proxywasm.SendHttpResponse(uint32(status), headers, nil, -1); err != nil {
		// The stream must not pass: the host gives it the fail policy of a VM that died.
		panic(err)
	}
	return types.ActionPause
}

// IP address and port of one end of the client's connection.
func address(end string) (string, int) {
	text := property("", end, "address")
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = text, "0"
	}
	number, _ := strconv.Atoi(port)
	if value, err := proxywasm.GetProperty([]string{end, "port"}); err == nil && len(value) == 8 {
		if given := binary.LittleEndian.Uint64(value); given <= math.MaxUint16 {
			number = int(given)
		}
	}
	return host, number
}

func property(otherwise string, path ...string) string {
	value, err := proxywasm.GetProperty(path)
	if err != nil || len(value) == 0 {
		return otherwise
	}
	return string(value)
}
