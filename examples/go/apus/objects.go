package apus

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Request is good until its handler returns; later use is an error, and harmless.
type Request struct{ handle C.apus_request }

// Param is a part of the path that the pattern names, or "".
func (r *Request) Param(name string) string {
	key, err := text(name)
	if err != nil {
		return ""
	}
	defer free(key)
	var length C.size_t
	value := C.apus_request_param(r.handle, key, &length)
	return C.GoStringN(value, C.int(length))
}

// Text replies with plain text.
func (r *Request) Text(status int, body string) error {
	data, length := bytes([]byte(body))
	kind := C.CString("text/plain; charset=utf-8")
	defer free(kind)
	_, err := check(func() C.int32_t {
		return C.apus_reply(r.handle, C.int32_t(status), kind, data, length)
	})
	return err
}

// Writer is a stream of events, good on any goroutine until it ends or its client goes.
type Writer struct{ handle C.apus_writer }

func (w *Writer) Event(id, data string) error {
	name, err := text(id)
	if err != nil {
		return err
	}
	defer free(name)
	content := C.CString(data)
	defer free(content)
	_, err = check(func() C.int32_t {
		return C.apus_writer_event(w.handle, nil, name, unsafe.Pointer(content),
			C.size_t(len(data)))
	})
	return err
}

func (w *Writer) End() error {
	_, err := check(func() C.int32_t { return C.apus_writer_end(w.handle) })
	return err
}

// Message is what a WebSocket carries.
type Message struct {
	Binary bool
	Data   []byte
}

func message(opcode C.int32_t, data unsafe.Pointer, length C.size_t) Message {
	return Message{opcode == C.APUS_OPCODE_BINARY, C.GoBytes(data, C.int(length))}
}

// Channel is one end of a WebSocket. A server's is the library's; a client's keeps its
// Client, and ends by Close or by the collector.
type Channel struct {
	handle C.apus_channel
	client *Client
}

func (c *Channel) Send(m Message) error {
	defer runtime.KeepAlive(c)
	data, length := bytes(m.Data)
	opcode := C.int32_t(C.APUS_OPCODE_TEXT)
	if m.Binary {
		opcode = C.APUS_OPCODE_BINARY
	}
	_, err := check(func() C.int32_t {
		return C.apus_channel_send(c.handle, opcode, 1, data, length)
	})
	return err
}

// Recv waits for a message.
func (c *Channel) Recv() (Message, error) {
	defer runtime.KeepAlive(c)
	var m C.apus_message
	_, err := check(func() C.int32_t { return C.apus_channel_recv(c.handle, &m, -1) })
	if err != nil {
		return Message{}, err
	}
	return message(m.opcode, m.data, m.length), nil
}

// Close ends a client's channel with a handshake of closing.
func (c *Channel) Close() {
	runtime.SetFinalizer(c, nil)
	var m C.apus_message
	if C.apus_channel_close(c.handle, 1000, nil, 0) == 0 {
		for C.apus_channel_recv(c.handle, &m, 5000) > 0 {
		}
	}
	C.apus_channel_destroy(c.handle)
}

// Client is what channels live on.
type Client struct {
	handle C.apus_client
	_      uint64 // Go need not finalize what has less than 16 bytes and no pointer
}

func NewClient() (*Client, error) {
	handle, err := make64(func() C.uint64_t { return C.apus_client_make() })
	if err != nil {
		return nil, err
	}
	client := &Client{handle: handle}
	runtime.SetFinalizer(client, (*Client).Close)
	return client, nil
}

func (c *Client) Close() {
	runtime.SetFinalizer(c, nil)
	C.apus_client_destroy(c.handle)
}

// Channel makes a channel that is not connected yet.
func (c *Client) Channel() (*Channel, error) {
	handle, err := make64(func() C.uint64_t { return C.apus_channel_make(C.uint64_t(c.handle)) })
	if err != nil {
		return nil, err
	}
	channel := &Channel{handle, c}
	// The collector must not wait for a peer: this end goes without a handshake.
	runtime.SetFinalizer(channel, func(c *Channel) { C.apus_channel_destroy(c.handle) })
	return channel, nil
}

// Open connects to a URL, as "ws://host:port/path", and waits until that is done.
func (c *Channel) Open(url string) error {
	defer runtime.KeepAlive(c)
	address, err := text(url)
	if err != nil {
		return err
	}
	defer free(address)
	_, err = check(func() C.int32_t { return C.apus_channel_open(c.handle, address) })
	if err == nil {
		_, err = check(func() C.int32_t { return C.apus_channel_wait_open(c.handle, -1) })
	}
	return err
}

// Response is the answer to a request.
type Response struct {
	Status int
	Body   []byte
}

// Get fetches a URL.
func Get(url string) (Response, error) {
	address, err := text(url)
	if err != nil {
		return Response{}, err
	}
	defer free(address)
	handle, err := make64(func() C.uint64_t { return C.apus_get(address, nil) })
	if err != nil {
		return Response{}, err
	}
	defer C.apus_response_destroy(handle)
	var length C.size_t
	body := C.apus_response_body(handle, &length)
	return Response{int(C.apus_response_status(handle)),
		C.GoBytes(unsafe.Pointer(body), C.int(length))}, nil
}
