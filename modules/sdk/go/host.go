// What a module may ask of its host. Strings and payloads are copied, but for Payload().
package grayling

/*
#include "entry.h"
#include <stdlib.h>
*/
import "C"

import "unsafe"

// Levels of Log, as syslog counts them.
const (
	LogError   = 3
	LogWarning = 4
	LogInfo    = 6
	LogDebug   = 7
)

// Host outlives the module; all its methods may be called from any goroutine.
type Host struct{ host *C.struct_grayling_host }

// Log writes one line.
func (h *Host) Log(level int, message string) {
	text := C.CString(message)
	defer C.free(unsafe.Pointer(text))
	C.grayling_go_log(h.host, C.int32_t(level), text)
}

// Count adds to a counter of the module's own; name is [a-z_]{1,40}.
func (h *Host) Count(name string, add uint64) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	C.grayling_go_count(h.host, text, C.uint64_t(add))
}

// Call is one request. It is valid until Handle returns, and only on the goroutine of Handle.
type Call struct {
	host    *C.struct_grayling_host
	call    *C.struct_grayling_call
	request *C.struct_grayling_request
}

func view(bytes C.struct_grayling_bytes) []byte {
	if bytes.size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(bytes.data), int(bytes.size))
}

// Payload is the host's memory: to be read only, and to be copied if it is to outlive the call.
func (c *Call) Payload() []byte { return view(c.request.payload) }

// Interface is the full name: "com.example.pay.PayService".
func (c *Call) Interface() string { return C.GoString(c.request.interface_name) }

// Method is the name within its interface: "Charge".
func (c *Call) Method() string { return C.GoString(c.request.method_name) }

// RequestID is for logs.
func (c *Call) RequestID() string { return C.GoString(c.request.request_id) }

// Header is a value of the request's metadata, "" when it has none of that name (lower case).
func (c *Call) Header(name string) string {
	for _, h := range unsafe.Slice(c.request.headers, int(c.request.n_headers)) {
		if C.GoString(h.name) == name {
			return C.GoString(h.value)
		}
	}
	return ""
}

// TimeLeftUsec is how long the client still waits; the largest number: no deadline.
func (c *Call) TimeLeftUsec() uint64 { return uint64(C.grayling_go_time_left(c.host, c.call)) }

// Invoke calls another module's interface. A code other than OK comes as a Failure without text,
// because the host passes the callee's own sentence on.
func (c *Call) Invoke(name, method string, payload []byte) ([]byte, error) {
	var answer C.struct_grayling_bytes
	i, m := C.CString(name), C.CString(method)
	defer C.free(unsafe.Pointer(i))
	defer C.free(unsafe.Pointer(m))
	code := Code(C.grayling_go_call(c.host, c.call, i, m, pointer(payload), C.uint64_t(len(payload)), &answer))
	if code != OK {
		return nil, &Failure{Code: code}
	}
	return append([]byte(nil), view(answer)...), nil
}

func pointer(bytes []byte) unsafe.Pointer {
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Pointer(&bytes[0])
}
