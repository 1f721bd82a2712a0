// A push server that is told to shut down: Shutdown closes the listener and waits for requests, but it knows nothing of
// connections that were taken over (Hijack). The program waits for its clients to go, who have no reason to. With -pumps each
// connection is read by a goroutine of its own, and the handler returns.
package main

import (
	"bufio"
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lab/internal/rig"
)

var pumps = flag.Bool("pumps", false, "read on goroutines of their own")

func main() { rig.Main(rig.Service{N: 23, Rate: 100, Run: run, Clients: clients}) }

type hub struct {
	here    atomic.Int64
	clients sync.WaitGroup
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	h := &hub{}
	server := &http.Server{Handler: http.HandlerFunc(h.upgrade)}
	go serve(server, listener)
	r.ReadyAfter(listener.Addr().String(), func() bool { return h.here.Load() >= int64(r.N) })
	time.Sleep(time.Second)
	r.Must(server.Shutdown(context.Background()))
	r.Worked()
	h.clients.Wait()
}

func serve(server *http.Server, listener net.Listener) {
	server.Serve(listener) // want: acquired
}

func (h *hub) upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, words, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	h.clients.Add(1)
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	if *pumps {
		go h.listen(conn, bufio.NewReader(conn))
	} else {
		h.listen(conn, words.Reader)
	}
}

func (h *hub) listen(conn net.Conn, words *bufio.Reader) {
	defer h.clients.Done()
	defer conn.Close()
	h.here.Add(1)
	io.Copy(io.Discard, words) // want: parked
}

func clients(r *rig.Rig) {
	r.Announce("")
	rig.Pace(r.Rate, func(i int) bool {
		go user(r)
		return i < r.N-1
	})
}

// user keeps one connection open and says a word every five seconds.
func user(r *rig.Rig) {
	conn, err := net.Dial("tcp", r.Peer)
	r.Must(err)
	io.WriteString(conn, "GET /push HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	bufio.NewReader(conn).ReadString('\n')
	for {
		time.Sleep(5 * time.Second)
		if _, err := io.WriteString(conn, "ping"); err != nil {
			return
		}
	}
}
