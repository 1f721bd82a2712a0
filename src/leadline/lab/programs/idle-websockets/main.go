// A push server: thousands of clients hold an upgraded (hijacked) connection open and say a word every few seconds. All were
// there before the work begins, except for -more that arrive in the first two seconds. Long-lived by design.
package main

import (
	"bufio"
	"flag"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

var more = flag.Int("more", 0, "clients that arrive in the first two seconds of the work")

func main() { rig.Main(rig.Service{N: 2000, Rate: 1000, Run: run, Clients: clients}) }

type hub struct {
	rig     *rig.Rig
	mutex   sync.Mutex
	clients map[net.Conn]bool
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	h := &hub{rig: r, clients: map[net.Conn]bool{}}
	go http.Serve(listener, http.HandlerFunc(h.upgrade))
	r.ReadyAfter(listener.Addr().String(), h.full)
}

func (h *hub) full() bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.clients) >= h.rig.N
}

func (h *hub) upgrade(w http.ResponseWriter, _ *http.Request) {
	conn, words, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	h.mutex.Lock()
	h.clients[conn] = true
	h.mutex.Unlock()
	h.rig.Worked()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	io.Copy(io.Discard, words)
	h.mutex.Lock()
	delete(h.clients, conn)
	h.mutex.Unlock()
}

func clients(r *rig.Rig) {
	r.Announce("")
	rig.Pace(r.Rate, func(i int) bool {
		go user(r, i)
		return i < r.N-1
	})
	<-r.Begun()
	if *more > 0 {
		rig.Pace(float64(*more)/2, func(i int) bool {
			go user(r, i)
			return i < *more-1
		})
	}
}

// user keeps one connection open and says a word every five seconds.
func user(r *rig.Rig, i int) {
	conn, err := net.Dial("tcp", r.Peer)
	r.Must(err)
	defer conn.Close()
	io.WriteString(conn, "GET /push HTTP/1.1\r\nHost: lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	bufio.NewReader(conn).ReadString('\n')
	time.Sleep(time.Duration(i%50) * 100 * time.Millisecond)
	for {
		if _, err := io.WriteString(conn, "ping"); err != nil {
			return
		}
		time.Sleep(5 * time.Second)
	}
}
