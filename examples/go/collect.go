package main

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"example/apus"
)

func expect(held bool, what string) {
	if !held {
		panic("not so: " + what)
	}
}

// eventually collects until something holds that finalizers bring about.
func eventually(what string, holds func() bool) {
	for limit := time.Now().Add(20 * time.Second); !holds(); runtime.Gosched() {
		expect(time.Now().Before(limit), what)
		runtime.GC()
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// load stands for what a handler refers to. Smaller ones share their memory with others.
type load struct {
	thread int
	bytes  [64]byte
}

// keep adds a handler which alone refers to its load, and says when that is collected.
func keep(server *apus.Server, released *atomic.Bool) {
	held := &load{thread: syscall.Gettid()}
	runtime.SetFinalizer(held, func(*load) { released.Store(true) })
	must(0, server.Get("/load", func(r *apus.Request) error {
		return r.Text(200, fmt.Sprint(held.thread == syscall.Gettid()))
	}))
}

// checkHandlers asks a server whose thread is this one, while the collector works.
func checkHandlers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var released atomic.Bool
	server := must(apus.NewServer())
	keep(server, &released)
	port := must(server.Listen("127.0.0.1", 0))
	answers := make(chan string, 20)
	go func() {
		defer server.Stop()
		for range [20]int{} {
			runtime.GC()
			response, err := apus.Get(fmt.Sprintf("http://127.0.0.1:%d/load", port))
			answers <- fmt.Sprint(string(response.Body), err)
		}
	}()
	must(0, server.Run())
	for range [20]int{} {
		answer := <-answers
		expect(answer == "true<nil>", "a handler runs on the thread of Run: "+answer)
	}
	runtime.GC()
	expect(!released.Load(), "a handler lives as long as its server")
	server.Close()
	server.Close()
	eventually("a handler is let go with its server", released.Load)
}

// checkOrders ends a server, a client and its channel in each order, twice.
func checkOrders() {
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, order := range orders {
		server, client := must(apus.NewServer()), must(apus.NewClient())
		channel := must(client.Channel())
		for range [2]int{} {
			for _, which := range order {
				[]func(){server.Close, client.Close, channel.Close}[which]()
				runtime.GC()
			}
		}
		_, err := server.Listen("127.0.0.1", 0)
		expect(err != nil, "a server that has ended says so")
		expect(channel.Send(apus.Message{}) != nil, "a channel that has ended says so")
	}
}

// checkText passes text with a NUL inside, which is refused before the call.
func checkText() {
	server, client := must(apus.NewServer()), must(apus.NewClient())
	channel := must(client.Channel())
	_, listening := server.Listen("127.0.0.1\x00", 0)
	_, getting := apus.Get("http://127.0.0.1:9/\x00")
	routing := server.Get("/a\x00b", func(*apus.Request) error { return nil })
	for _, err := range []error{listening, getting, routing, channel.Open("ws://127.0.0.1:9/\x00")} {
		expect(err != nil && strings.Contains(err.Error(), "NUL"), fmt.Sprint("text: ", err))
	}
	channel.Close()
	client.Close()
	server.Close()
}

// leave makes objects and closes none.
func leave(released *atomic.Bool) {
	server := must(apus.NewServer())
	keep(server, released)
	must(must(apus.NewClient()).Channel())
}

func collect() error {
	checkHandlers()
	checkOrders()
	checkText()
	expect(apus.Live() == 0, "all that was closed has ended")
	var released atomic.Bool
	leave(&released)
	expect(apus.Live() == 3, "there are a server, a client and a channel")
	eventually("the collector ends what nobody refers to", func() bool {
		return apus.Live() == 0 && released.Load()
	})
	fmt.Println("gc ok")
	return nil
}
