// A server with a low descriptor limit whose upgrade handler takes the connection over (Hijack) and forgets it when the
// client may not come in. It runs into "too many open files"; from then on clients wait in the accept queue, unheard.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"lab/internal/rig"
)

var limit = flag.Uint64("limit", 48, "soft limit of descriptors")

func main() { rig.Main(rig.Service{N: 200, Rate: 10, Run: run, Clients: clients}) }

type door struct {
	rig     *rig.Rig
	mutex   sync.Mutex
	refused []net.Conn
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{Handler: &door{rig: r}, ErrorLog: log.New(io.Discard, "", 0)}
	go serve(server, listener)
	r.ReadyAfter(listener.Addr().String(), func() bool { return lower(r) })
}

func lower(r *rig.Rig) bool {
	var now syscall.Rlimit
	r.Must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now))
	now.Cur = *limit
	r.Must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now))
	return true
}

func serve(server *http.Server, listener net.Listener) {
	server.Serve(listener) // want: acquired, refused
}

func (d *door) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	d.mutex.Lock()
	d.refused = append(d.refused, conn)
	d.mutex.Unlock()
	d.rig.Worked()
}

// clients knock, wait two seconds for an answer that never comes, and go.
func clients(r *rig.Rig) {
	r.AnnounceClients()
	rig.Pace(r.Rate, func(i int) bool {
		go func() {
			conn, err := net.DialTimeout("tcp", r.Peer, time.Second)
			if err != nil {
				return // the line is full
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(2 * time.Second))
			fmt.Fprint(conn, "GET /upgrade HTTP/1.1\r\nHost: lab\r\n\r\n")
			bufio.NewReader(conn).ReadString('\n')
		}()
		return i < r.N-1
	})
}
