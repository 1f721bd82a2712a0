// A web server without read time limits: clients connect, send half a request line (or what -say says), and say nothing
// more; with -drip they send one more header line now and then, without an end. Ordinary clients come and go on the same
// port.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"lab/internal/rig"
)

var (
	say  = flag.String("say", "GET / HT", "what a silent client sends when it has connected")
	drip = flag.Duration("drip", 0, "send one more header line in each of these times (0: never)")
)

func main() { rig.Main(rig.Service{N: 23, Rate: 10, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			r.Worked()
		}
	}}
	go serve(server, listener)
	r.Ready(listener.Addr().String())
}

func serve(server *http.Server, listener net.Listener) {
	server.Serve(listener) // want: acquired
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	go rig.Pace(5, func(int) bool {
		visitor := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		rig.GetAndClose(visitor, "http://"+r.Peer+"/")
		return true
	})
	var silent []net.Conn
	rig.Pace(r.Rate, func(i int) bool {
		conn, err := net.Dial("tcp", r.Peer)
		r.Must(err)
		fmt.Fprint(conn, *say)
		silent = append(silent, conn)
		return i < r.N-1
	})
	for line := 0; *drip > 0; line++ {
		for _, conn := range silent {
			fmt.Fprintf(conn, "X-Line: %d\r\n", line)
		}
		time.Sleep(*drip)
	}
	<-make(chan int)
	runtime.KeepAlive(silent)
}
