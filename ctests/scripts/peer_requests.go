// What Go's net/http server makes of bytes, for differential_test.py; input and output
// are those of ctests/src/helpers/parse_requests.c, but for END. The server runs on
// connections in memory: a case is what one of them reads.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

type memory struct {
	in    *bytes.Reader
	lock  sync.Mutex
	out   bytes.Buffer
	words []string
	bad   string
}

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }

func (m *memory) Read(b []byte) (int, error) { return m.in.Read(b) }
func (m *memory) Write(b []byte) (int, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.out.Write(b)
}
func (m *memory) Close() error                     { return nil }
func (m *memory) LocalAddr() net.Addr              { return address{} }
func (m *memory) RemoteAddr() net.Addr             { return address{} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }

type listener struct{ conns chan net.Conn }

func (l listener) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, io.EOF
}
func (listener) Close() error   { return nil }
func (listener) Addr() net.Addr { return address{} }

func text(s string) string { return hex.EncodeToString([]byte(s)) }

var current *memory

func handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		current.bad = "body: " + err.Error()
		w.Header().Set("Connection", "close")
		w.WriteHeader(418)
		return
	}
	var fields []string
	for name, values := range r.Header {
		for _, value := range values {
			fields = append(fields, text(name)+":"+text(value))
		}
	}
	current.words = append(current.words, strings.Join([]string{
		text(r.Method), text(r.RequestURI), hex.EncodeToString(body), strings.Join(fields, ";")}, ","))
}

func main() {
	conns := make(chan net.Conn)
	closed := make(chan bool, 1)
	server := &http.Server{Handler: http.HandlerFunc(handle),
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- true
			}
		}}
	go server.Serve(listener{conns})
	refused := regexp.MustCompile(`HTTP/1\.[01] ([45]\d\d[^\r\n]*)`)
	in := bufio.NewReader(os.Stdin)
	for {
		var count uint32
		if binary.Read(in, binary.BigEndian, &count) != nil {
			return
		}
		data := make([]byte, count)
		if _, err := io.ReadFull(in, data); err != nil {
			return
		}
		current = &memory{in: bytes.NewReader(data)}
		conns <- current
		<-closed
		state := "ok"
		if match := refused.FindSubmatch(current.out.Bytes()); match != nil {
			state = "bad"
			if current.bad == "" {
				current.bad = string(match[1])
			}
		}
		for _, word := range current.words {
			fmt.Print(word, " ")
		}
		fmt.Printf("|%s %s\n", state, strings.ReplaceAll(current.bad, "\n", " "))
	}
}
