// A guest in plain Go, without an SDK, that panics at each request. Go's runtime writes the story of a panic to standard error in
// dozens of pieces.
package main

import "unsafe"

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

var lent [][]byte

//go:wasmexport proxy_on_memory_allocate
func allocate(size uint32) unsafe.Pointer {
	memory := make([]byte, size)
	lent = append(lent, memory)
	return unsafe.Pointer(unsafe.SliceData(memory))
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, lines, end uint32) uint32 {
	var nobody map[string]int
	nobody["a"] = 1
	return 0
}
