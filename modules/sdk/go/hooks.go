// The hooks that entry.c calls. No panic leaves one: what the Go runtime does with a panic that
// reaches C is to end the process.
package grayling

/*
#include "entry.h"
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strings"
	"unsafe"
)

type instance struct {
	host   *Host
	module Module
}

func of(self C.uintptr_t) *instance { return cgo.Handle(self).Value().(*instance) }

// Where the panic came from: the innermost frame that is not the runtime's.
func origin() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for panicking := false; ; {
		frame, more := frames.Next()
		ours := !strings.HasPrefix(frame.Function, "runtime.")
		if panicking && ours {
			return fmt.Sprintf("%s (%s:%d)", frame.Function, frame.File, frame.Line)
		}
		panicking = panicking || !ours
		if !more {
			return "unknown"
		}
	}
}

// Runs a hook; a panic becomes an error.
func guarded(host *Host, hook string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Failf(Internal, "panic: %v", p)
			host.Log(LogError, fmt.Sprintf("%s panicked: %v, at %s", hook, p, origin()))
		}
	}()
	return f()
}

func codeOf(err error) (Code, string) {
	var f *Failure
	if err == nil {
		return OK, ""
	}
	if errors.As(err, &f) && f.Code != OK {
		return f.Code, err.Error()
	}
	return Internal, err.Error()
}

// Of a hook that can only log why it fails.
func concluded(host *Host, hook string, err error) C.int32_t {
	code, message := codeOf(err)
	if err != nil {
		host.Log(LogError, hook+": "+message)
	}
	return C.int32_t(code)
}

//export graylingGoInit
func graylingGoInit(host *C.struct_grayling_host, init *C.struct_grayling_init, self *C.uintptr_t) C.int32_t {
	i := &instance{host: &Host{host}}
	err := guarded(i.host, "init", func() (err error) {
		if create == nil {
			return errors.New("no Register() was called; call it from an init() function of package main")
		}
		i.module, err = create(i.host, &Init{
			Config:    append([]byte(nil), view(init.config)...),
			Version:   C.GoString(init.version),
			Preflight: init.preflight != 0,
		})
		return err
	})
	if err == nil {
		*self = C.uintptr_t(cgo.NewHandle(i))
	}
	return concluded(i.host, "init", err)
}

//export graylingGoSelfTest
func graylingGoSelfTest(self C.uintptr_t) C.int32_t {
	i := of(self)
	t, ok := i.module.(SelfTester)
	if !ok {
		return C.int32_t(OK)
	}
	return concluded(i.host, "self_test", guarded(i.host, "self_test", t.SelfTest))
}

//export graylingGoHandle
func graylingGoHandle(self C.uintptr_t, call *C.struct_grayling_call, request *C.struct_grayling_request) C.int32_t {
	i := of(self)
	c := &Call{i.host.host, call, request}
	err := guarded(i.host, "handle", func() error {
		answer, err := i.module.Handle(c)
		if err != nil {
			return err
		}
		code := C.grayling_go_respond(c.host, call, pointer(answer), C.uint64_t(len(answer)))
		if code != C.GRAYLING_OK {
			return Failf(Code(code), "the host did not take an answer of %d bytes", len(answer))
		}
		return nil
	})
	code, message := codeOf(err)
	if message != "" {
		text := C.CString(message)
		C.grayling_go_fail(c.host, call, text)
		C.free(unsafe.Pointer(text))
	}
	return C.int32_t(code)
}

//export graylingGoDestroy
func graylingGoDestroy(self C.uintptr_t) {
	i := of(self)
	if closer, ok := i.module.(Closer); ok {
		_ = guarded(i.host, "destroy", func() error { closer.Close(); return nil })
	}
	cgo.Handle(self).Delete()
}
