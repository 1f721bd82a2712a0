// A client whose transport dials through a function of the application, as many do for metrics or timeouts. That function is
// innocent: the caller never closes the response body.
package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{DialContext: dialMeasured}}
	r.Ready("")
	r.Repeat(func(int) { r.Must(ping(client, "http://"+r.Peer+"/health")) })
}

var dialTime time.Duration

func dialMeasured(ctx context.Context, network, addr string) (net.Conn, error) {
	begin := time.Now()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr) // want: acquired
	dialTime += time.Since(begin)
	return conn, err
}

func ping(client *http.Client, url string) error {
	_, err := client.Get(url) // want: caller
	return err
}
