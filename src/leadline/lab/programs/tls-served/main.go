// A TLS server without read time limits whose clients behave: they shake hands, ask, and go, or stay and ask again.
package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 8, Rate: 10, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.Certificate()}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(rig.Body()))
			r.Worked()
		}),
	}
	go server.ServeTLS(listener, "", "")
	r.Ready(listener.Addr().String())
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	for i := 0; i < r.N; i++ {
		stays := &http.Client{Transport: &http.Transport{TLSClientConfig: rig.Trusting()}}
		go rig.Pace(1, func(int) bool {
			r.Must(rig.GetAndClose(stays, "https://"+r.Peer+"/"))
			return true
		})
	}
	goes := &http.Transport{TLSClientConfig: rig.Trusting(), DisableKeepAlives: true}
	rig.Pace(r.Rate, func(int) bool {
		go rig.GetAndClose(&http.Client{Timeout: 5 * time.Second, Transport: goes}, "https://"+r.Peer+"/")
		return true
	})
}
