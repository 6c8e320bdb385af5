// The example: a server, a client, and a check of what the collector may do.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"example/apus"
)

func hello(r *apus.Request) error {
	return r.Text(200, "Hello, "+r.Param("name")+"!\n")
}

func ticks(w *apus.Writer, _ *apus.Request) error {
	for n := 1; n <= 3; n++ {
		if err := w.Event(fmt.Sprint(n), fmt.Sprint("tick ", n)); err != nil {
			return err
		}
	}
	return w.End()
}

func echo(c *apus.Channel, m apus.Message) error { return c.Send(m) }

func fail(*apus.Request) error { panic("on purpose") }

// stopper stops the server at a signal, or when standard input ends.
func stopper(server *apus.Server) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
	go func() {
		io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		server.Stop()
	}()
}

func serve() error {
	server, err := apus.NewServer()
	if err != nil {
		return err
	}
	defer server.Close()
	for _, err := range []error{
		server.Get("/hello/:name", hello),
		server.Get("/fail", fail),
		server.Events("/events", ticks),
		server.WebSocket("/echo", echo),
	} {
		if err != nil {
			return err
		}
	}
	port, err := server.Listen("127.0.0.1", 0)
	if err != nil {
		return err
	}
	fmt.Printf("http://127.0.0.1:%d/\n", port)
	stopper(server)
	return server.Run()
}

func get(url string) error {
	response, err := apus.Get(url)
	if err == nil {
		_, err = os.Stdout.Write(response.Body)
	}
	return err
}

func talk(url, text string) error {
	client, err := apus.NewClient()
	if err != nil {
		return err
	}
	defer client.Close()
	channel, err := client.Channel()
	if err != nil {
		return err
	}
	if err = channel.Open(url); err != nil {
		return err
	}
	defer channel.Close()
	if err = channel.Send(apus.Message{Data: []byte(text)}); err != nil {
		return err
	}
	answer, err := channel.Recv()
	if err == nil {
		fmt.Println(string(answer.Data))
	}
	return err
}

func main() {
	var err error
	arguments := append(os.Args[1:], "")
	switch {
	case arguments[0] == "serve":
		err = serve()
	case arguments[0] == "gc":
		err = collect()
	case arguments[0] == "get" && len(os.Args) == 3:
		err = get(os.Args[2])
	case arguments[0] == "ws" && len(os.Args) == 4:
		err = talk(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: example serve | get URL | ws URL TEXT | gc")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
