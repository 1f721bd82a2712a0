// The push server of hijacked-after-shutdown as it should be: it has told the server what to do with the connections that were
// taken over (RegisterOnShutdown), and they are closed with the rest.
package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 100, Run: run, Clients: clients}) }

type hub struct {
	rig     *rig.Rig
	mutex   sync.Mutex
	clients map[net.Conn]bool
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	h := &hub{rig: r, clients: map[net.Conn]bool{}}
	server := &http.Server{Handler: http.HandlerFunc(h.upgrade)}
	server.RegisterOnShutdown(h.sayGoodbye)
	go server.Serve(listener)
	r.ReadyAfter(listener.Addr().String(), func() bool { return h.count() == r.N })
	time.Sleep(time.Second)
	r.Must(server.Shutdown(context.Background()))
}

func (h *hub) count() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.clients)
}

func (h *hub) upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, words, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	h.mutex.Lock()
	h.clients[conn] = true
	h.mutex.Unlock()
	io.Copy(io.Discard, words)
	h.mutex.Lock()
	delete(h.clients, conn)
	h.mutex.Unlock()
	h.rig.Worked()
}

func (h *hub) sayGoodbye() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for conn := range h.clients {
		io.WriteString(conn, "bye\n")
		conn.Close()
	}
}

func clients(r *rig.Rig) {
	r.Announce("")
	rig.Pace(r.Rate, func(i int) bool {
		go user(r)
		return i < r.N-1
	})
}

func user(r *rig.Rig) {
	conn, err := net.Dial("tcp", r.Peer)
	r.Must(err)
	defer conn.Close()
	io.WriteString(conn, "GET /push HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	rig.Drain(bufio.NewReader(conn))
}
