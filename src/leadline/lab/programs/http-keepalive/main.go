// The everyday web server: a dozen clients with kept-alive connections, two hundred requests a second.
package main

import (
	"net"
	"net/http"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 12, Rate: 200, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(rig.Body()))
		r.Worked()
	}))
	r.Ready(listener.Addr().String())
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: r.N}}
	for i := 0; i < r.N; i++ {
		go rig.Pace(r.Rate/float64(r.N), func(int) bool {
			r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/"))
			return true
		})
	}
}
