// A web server without read time limits: clients connect, send half a request line, and say nothing more. Ordinary clients
// come and go on the same port.
package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"lab/internal/rig"
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
		fmt.Fprint(conn, "GET / HT")
		silent = append(silent, conn)
		return i < r.N-1
	})
	<-make(chan int)
	fmt.Println(silent)
}
