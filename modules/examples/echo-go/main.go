// The smallest true module in Go: any payload comes back. Two more methods go wrong on purpose.
package main

import (
	"bytes"
	"errors"

	"grayling"
)

type echo struct{ host *grayling.Host }

func (e *echo) SelfTest() error {
	if !bytes.Equal(bytes.ToUpper([]byte("echo")), []byte("ECHO")) {
		return errors.New("this is not Go")
	}
	return nil
}

func (e *echo) Handle(call *grayling.Call) ([]byte, error) {
	e.host.Count("calls", 1)
	switch call.Method() {
	case "Echo":
		return call.Payload(), nil
	case "Panic": // answered with Internal and the panic's text; the next call finds everything well
		panic(string(call.Payload()))
	case "PanicElsewhere": // nobody can recover this: the process ends
		go panic(string(call.Payload()))
		select {}
	}
	return nil, grayling.Failf(grayling.Unimplemented, "%s is not known", call.Method())
}

func init() {
	grayling.Register(func(host *grayling.Host, _ *grayling.Init) (grayling.Module, error) {
		return &echo{host}, nil
	})
}

func main() {} // never called; a library of the main package needs one
