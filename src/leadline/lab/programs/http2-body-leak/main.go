//go:build go1.24

// A subscriber over HTTP/2 to a server that allows one stream per connection: each event stream that is opened and forgotten
// keeps its connection busy, so the next one dials anew.
package main

import (
	"net/http"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	events := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Write([]byte(rig.Body()))
		w.(http.Flusher).Flush()
		<-request.Context().Done()
	})
	rig.ServeHTTPS(r, &http.Server{Handler: events, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1}})
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: rig.Trusting(), ForceAttemptHTTP2: true}}
	r.Ready("")
	r.Repeat(func(int) { r.Must(subscribe(client, "https://"+r.Peer+"/events")) })
}

func subscribe(client *http.Client, url string) error {
	response, err := client.Get(url) // want: caller
	if err != nil {
		return err
	}
	if response.ProtoMajor != 2 {
		return http.ErrNotSupported
	}
	return nil
}
