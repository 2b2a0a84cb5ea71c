// A large filter in Go: much of the standard library is linked in, and its configuration builds tables and a thousand
// regular expressions. It is there to be measured.
package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"html/template"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

func main() {}

var (
	rules   []*regexp.Regexp
	words   = map[string][]string{}
	kept    [][]byte
	server  = http.NewServeMux()
	page    *template.Template
	program *ast.File
)

//go:wasmimport env proxy_get_header_map_value
func getHeader(kind uint32, name unsafe.Pointer, size uint32, value unsafe.Pointer, valueSize unsafe.Pointer) uint32

//go:wasmimport env proxy_replace_header_map_value
func setHeader(kind uint32, name unsafe.Pointer, size uint32, value unsafe.Pointer, valueSize uint32) uint32

//go:wasmexport proxy_abi_version_0_2_0
func version() {}

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) *byte {
	room := make([]byte, size)
	return unsafe.SliceData(room)
}

//go:wasmexport proxy_on_context_create
func create(context, parent uint32) {}

//go:wasmexport proxy_on_vm_start
func start(context, size uint32) uint32 { return 1 }

//go:wasmexport proxy_on_configure
func configure(context, size uint32) uint32 {
	for number := range 1000 {
		text := fmt.Sprintf(`(?i)(select|union|insert)\s+.{0,%d}(from|into|where)%d`, number%40+1, number)
		rules = append(rules, regexp.MustCompile(text))
	}
	for number := range 100000 {
		key := fmt.Sprintf("key-%d", number)
		words[key] = strings.Split(key, "-")
	}
	for range 200 {
		kept = append(kept, bytes.Repeat([]byte("kept "), 20000))
	}
	server.Handle("/", http.NotFoundHandler())
	page = template.Must(template.New("page").Parse("<p>{{.}}</p>"))
	program, _ = parser.ParseFile(token.NewFileSet(), "a.go", "package a; func f() {}", 0)
	if !certificate() {
		return 0
	}
	runtime.GC()
	return 1
}

// Makes a certificate, so that what makes and reads them is linked in.
func certificate() bool {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false
	}
	subject := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Now()}
	der, err := x509.CreateCertificate(rand.Reader, &subject, &subject, &key.PublicKey, key)
	if err != nil {
		return false
	}
	_, err = x509.ParseCertificate(der)
	return err == nil
}

//go:wasmexport proxy_on_request_headers
func request(context, count, end uint32) uint32 {
	name := []byte(":path")
	var value *byte
	var size uint32
	getHeader(0, unsafe.Pointer(&name[0]), uint32(len(name)), unsafe.Pointer(&value), unsafe.Pointer(&size))
	path := ""
	if value != nil {
		path = string(unsafe.Slice(value, size))
	}
	matches := 0
	for _, rule := range rules[:50] {
		if rule.MatchString(path) {
			matches++
		}
	}
	parsed, err := url.Parse(path)
	if err != nil {
		return 0
	}
	text, _ := json.Marshal(map[string]any{"query": parsed.Query(), "matches": matches, "known": words[path]})
	markup, _ := xml.Marshal(struct{ Path string }{path})
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	writer.Write(text)
	writer.Close()
	var shown strings.Builder
	page.Execute(&shown, path)
	result := []byte(fmt.Sprintf("%d %d %d %s %d", matches, len(markup), packed.Len(), program.Name, shown.Len()))
	header := []byte("x-matches")
	setHeader(0, unsafe.Pointer(&header[0]), uint32(len(header)), unsafe.Pointer(&result[0]), uint32(len(result)))
	return 0
}

//go:wasmexport proxy_on_response_headers
func response(context, count, end uint32) uint32 { return 0 }

//go:wasmexport proxy_on_done
func done(context uint32) uint32 { return 1 }

//go:wasmexport proxy_on_log
func log(context uint32) {}

//go:wasmexport proxy_on_delete
func remove(context uint32) {}
