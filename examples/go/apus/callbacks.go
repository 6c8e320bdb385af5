package apus

// #include <apus.h>
import "C"

import (
	"fmt"
	"os"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"
)

// guard keeps a panic from unwinding C. What fails is told on standard error, and the
// library answers a request without a reply with 500.
func guard(handler func() error) (succeeded bool) {
	defer func() {
		if trouble := recover(); trouble != nil {
			fmt.Fprintf(os.Stderr, "apus: panic in a handler: %v\n%s", trouble, debug.Stack())
		}
	}()
	err := handler()
	if err != nil {
		fmt.Fprintln(os.Stderr, "apus: a handler failed:", err)
	}
	return err == nil
}

//export goDrop
func goDrop(handle C.uintptr_t) { cgo.Handle(handle).Delete() }

//export goRequest
func goRequest(handle C.uintptr_t, request C.uint64_t) {
	handler := cgo.Handle(handle).Value().(func(*Request) error)
	guard(func() error { return handler(&Request{request}) })
}

//export goEvents
func goEvents(handle C.uintptr_t, writer, request C.uint64_t) {
	handler := cgo.Handle(handle).Value().(func(*Writer, *Request) error)
	C.apus_writer_detach(writer)
	if !guard(func() error { return handler(&Writer{writer}, &Request{request}) }) {
		C.apus_writer_abort(writer)
	}
}

//export goMessage
func goMessage(handle C.uintptr_t, channel C.uint64_t, opcode C.int32_t, data unsafe.Pointer,
	length C.size_t) {
	handler := cgo.Handle(handle).Value().(func(*Channel, Message) error)
	guard(func() error {
		return handler(&Channel{handle: channel}, message(opcode, data, length))
	})
}
