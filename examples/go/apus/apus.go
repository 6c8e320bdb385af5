// Package apus is a small binding of libapus: an HTTP, WebSocket and SSE server whose
// callbacks run in Server.Run, and a client.
package apus

// #cgo pkg-config: apus
// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Error is a failure that the library reports.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s)", e.Message, C.GoString(C.apus_error_name(C.int32_t(e.Code))))
}

// call keeps a function of the library and the look at its error on one thread: the
// latter is of the thread, and goroutines move.
func call[T int32 | int64 | uint64](failed func(T) bool, function func() T) (T, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	result := function()
	if !failed(result) {
		return result, nil
	}
	return result, &Error{int(C.apus_last_error()), C.GoString(C.apus_last_error_message())}
}

func check(function func() C.int32_t) (int, error) {
	result, err := call(func(n int32) bool { return n < 0 },
		func() int32 { return int32(function()) })
	return int(result), err
}

func make64(function func() C.uint64_t) (C.uint64_t, error) {
	result, err := call(func(n uint64) bool { return n == 0 },
		func() uint64 { return uint64(function()) })
	return C.uint64_t(result), err
}

// text is a copy for C, where it would end at a NUL inside.
func text(s string) (*C.char, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return nil, errors.New("a NUL inside text")
	}
	return C.CString(s), nil
}

func free(s *C.char) { C.free(unsafe.Pointer(s)) }

func bytes(b []byte) (unsafe.Pointer, C.size_t) {
	if len(b) == 0 {
		return nil, 0
	}
	return unsafe.Pointer(&b[0]), C.size_t(len(b))
}

// Live counts the library's objects, to find leaks.
func Live() int { return int(C.apus_live_count(0)) }

// Server is a server. Close ends it; so does the collector, in the end. A handler that
// refers to its own server keeps it, until Close.
type Server struct {
	handle   C.apus_server
	stopping atomic.Bool
}

func NewServer() (*Server, error) {
	handle, err := make64(func() C.uint64_t { return C.apus_server_make() })
	if err != nil {
		return nil, err
	}
	server := &Server{handle: handle}
	runtime.SetFinalizer(server, (*Server).Close)
	return server, nil
}

// Close ends the server, if it has not ended yet, and lets go of its handlers.
func (s *Server) Close() {
	runtime.SetFinalizer(s, nil)
	C.apus_server_destroy(s.handle)
}

// add registers a callback; the library drops its handle, also when this fails.
func (s *Server) add(pattern string, function any,
	register func(*C.char, C.uintptr_t) C.int32_t) (int, error) {
	defer runtime.KeepAlive(s)
	path, err := text(pattern)
	if err != nil {
		return 0, err
	}
	defer free(path)
	handle := C.uintptr_t(cgo.NewHandle(function))
	return check(func() C.int32_t { return register(path, handle) })
}

// Get answers GET requests. An error that the handler returns, or a panic, is a 500.
func (s *Server) Get(pattern string, handler func(*Request) error) error {
	_, err := s.add(pattern, handler, func(path *C.char, handle C.uintptr_t) C.int32_t {
		return C.bridge_route(s.handle, C.APUS_GET, path, handle)
	})
	return err
}

// Events answers with a stream of events.
func (s *Server) Events(pattern string, handler func(*Writer, *Request) error) error {
	_, err := s.add(pattern, handler, func(path *C.char, handle C.uintptr_t) C.int32_t {
		return C.bridge_events(s.handle, path, handle)
	})
	return err
}

// WebSocket takes messages of channels.
func (s *Server) WebSocket(pattern string, handler func(*Channel, Message) error) error {
	_, err := s.add(pattern, handler, func(path *C.char, handle C.uintptr_t) C.int32_t {
		route := C.bridge_websocket(s.handle, path)
		if route < 0 {
			goDrop(handle)
			return route
		}
		return C.bridge_on_message(s.handle, route, handle)
	})
	return err
}

// Listen binds a port, 0 for any free one, and tells which it is.
func (s *Server) Listen(host string, port int) (int, error) {
	defer runtime.KeepAlive(s)
	name, err := text(host)
	if err != nil {
		return 0, err
	}
	defer free(name)
	index, err := check(func() C.int32_t {
		return C.apus_server_listen(s.handle, name, C.int32_t(port))
	})
	if err != nil {
		return 0, err
	}
	return check(func() C.int32_t { return C.apus_server_port(s.handle, C.int32_t(index)) })
}

// Run serves, on one thread, until Stop, and calls all handlers from there.
func (s *Server) Run() error {
	defer runtime.KeepAlive(s)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := check(func() C.int32_t { return C.apus_server_start(s.handle) }); err != nil {
		return err
	}
	for !s.stopping.Load() {
		_, err := check(func() C.int32_t { return C.apus_server_tick(s.handle, 1000) })
		if err != nil {
			return err
		}
	}
	_, err := check(func() C.int32_t { return C.apus_server_stop(s.handle) })
	return err
}

// Stop ends Run, from any goroutine.
func (s *Server) Stop() {
	s.stopping.Store(true)
	C.apus_server_wake(s.handle)
	runtime.KeepAlive(s)
}
