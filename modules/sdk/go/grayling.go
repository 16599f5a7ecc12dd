// Package grayling is a module's side of Grayling in Go: what a module implements, and what it may
// ask of its host. A module is package main with an empty main() and one Register() in its init();
// it runs with `isolation: process` only.
package grayling

import "fmt"

// Code is one of gRPC's status codes, as grayling/module.h lists them.
type Code int32

const (
	OK                 Code = 0
	Unknown            Code = 2
	InvalidArgument    Code = 3
	DeadlineExceeded   Code = 4
	NotFound           Code = 5
	AlreadyExists      Code = 6
	PermissionDenied   Code = 7
	ResourceExhausted  Code = 8
	FailedPrecondition Code = 9
	Aborted            Code = 10
	OutOfRange         Code = 11
	Unimplemented      Code = 12
	Internal           Code = 13
	Unavailable        Code = 14
	DataLoss           Code = 15
	Unauthenticated    Code = 16
)

// Failure is an error with the code that the client shall see. Other errors are answered with
// Internal and their text.
type Failure struct {
	Code    Code
	Message string
}

func (f *Failure) Error() string { return f.Message }

// Failf makes a Failure.
func Failf(code Code, format string, values ...any) error {
	return &Failure{code, fmt.Sprintf(format, values...)}
}

// Module answers requests, on many threads at once. A panic in it is answered with Internal and its
// text, and the module goes on; a panic in a goroutine that it started ends the process.
type Module interface {
	// Handle returns the answer's payload, which is copied before the next call.
	Handle(call *Call) ([]byte, error)
}

// SelfTester is for modules that can prove themselves: in preflight, and again before traffic.
type SelfTester interface{ SelfTest() error }

// Closer is for modules with something to let go of at the end.
type Closer interface{ Close() }

// Init is what a module is told when it begins.
type Init struct {
	Config    []byte // JSON
	Version   string
	Preflight bool // the trial in a sandbox: touch nothing outside
}

var create func(*Host, *Init) (Module, error)

// Register names the function that makes the module. To be called once, from an init() function.
func Register(f func(host *Host, init *Init) (Module, error)) { create = f }
