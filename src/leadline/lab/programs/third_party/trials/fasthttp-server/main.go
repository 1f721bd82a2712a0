// A fasthttp server with kept-alive clients. -leak hijack takes over one connection per call to /hold and forgets it in a map;
// the client goes after a second.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"trials/internal/trial"
)

func main() { trial.Main("hijack", service, clients) }

var (
	mutex sync.Mutex
	held  = map[string]net.Conn{}
)

func service(t *trial.Trial) {
	listener := t.Listen()
	server := &fasthttp.Server{Handler: handle, KeepHijackedConns: true}
	go server.Serve(listener)
	t.Ready(listener.Addr().String())
}

func handle(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) != "/hold" {
		time.Sleep(5 * time.Millisecond)
		fmt.Fprintln(ctx, "hello")
		return
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) {
		mutex.Lock()
		defer mutex.Unlock()
		held[conn.RemoteAddr().String()] = conn
	})
}

func clients(t *trial.Trial) {
	for i := 0; i < 10; i++ {
		client := &http.Client{Transport: &http.Transport{}}
		go trial.Every(100*time.Millisecond, func() {
			response, err := client.Get("http://" + t.Addr + "/")
			trial.Must(err)
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		})
	}
	t.Plant(func(int) {
		conn, err := net.Dial("tcp", t.Addr)
		trial.Must(err)
		fmt.Fprint(conn, "GET /hold HTTP/1.1\r\nHost: lab\r\n\r\n")
		time.AfterFunc(time.Second, func() { conn.Close() })
	})
}
