// The web server of silent-clients with a time limit for reading the header: who says nothing for two seconds is shown out.
package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 5, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{
		ReadHeaderTimeout: 2 * time.Second,
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				r.Worked()
			}
		},
	}
	go serve(server, listener)
	r.Ready(listener.Addr().String())
}

func serve(server *http.Server, listener net.Listener) {
	server.Serve(listener)
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	rig.Pace(r.Rate, func(int) bool {
		go func() {
			conn, err := net.Dial("tcp", r.Peer)
			r.Must(err)
			defer conn.Close()
			fmt.Fprint(conn, "GET / HT")
			rig.Drain(conn)
		}()
		return true
	})
}
