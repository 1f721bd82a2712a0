// A web server whose handler panics on each request. net/http recovers and closes the connection: ugly, and no leak.
package main

import (
	"io"
	"log"
	"net"
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 20, Run: run, Clients: func(r *rig.Rig) { rig.GetWithNewConnections(r, "/") }})
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			r.Worked()
			var orders map[string]int
			orders["one"]++
		}),
	}
	go server.Serve(listener)
	r.Ready(listener.Addr().String())
}
