// A TLS server without read time limits: clients connect and never begin the handshake, which waits for ever.
package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"runtime"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 10, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.Certificate()}},
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				r.Did()
			}
		},
	}
	go serve(server, listener)
	r.Ready(listener.Addr().String())
}

func serve(server *http.Server, listener net.Listener) {
	server.ServeTLS(listener, "", "") // want: acquired
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	var silent []net.Conn
	rig.Pace(r.Rate, func(i int) bool {
		conn, err := net.Dial("tcp", r.Peer)
		r.Must(err)
		silent = append(silent, conn)
		return i < r.N-1
	})
	<-make(chan int)
	runtime.KeepAlive(silent)
}
