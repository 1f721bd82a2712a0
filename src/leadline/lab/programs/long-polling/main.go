// A server of long polls: forty clients wait up to four seconds for an event, each time over a new connection.
package main

import (
	"net"
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 40, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		select {
		case <-time.After(4 * time.Second):
			w.Write([]byte("nothing new\n"))
		case <-request.Context().Done():
		}
		r.Worked()
	}))
	r.Ready(listener.Addr().String())
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	client := &http.Client{Timeout: 6 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	rig.Pace(float64(r.N)/3, func(i int) bool {
		go func() {
			for {
				r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/events"))
			}
		}()
		return i < r.N-1
	})
}
