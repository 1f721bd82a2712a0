// A license check over HTTPS with HTTP/1.1: the status decides, the response body is neither read nor closed.
package main

import (
	"net/http"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTPS(r, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(rig.Body()))
	})})
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: rig.Trusting()}}
	r.Ready("")
	r.Repeat(func(int) {
		if !licensed(client, "https://"+r.Peer+"/license") {
			r.Fail(http.ErrNotSupported)
		}
	})
}

func licensed(client *http.Client, url string) bool {
	response, err := client.Get(url) // want: caller
	return err == nil && response.StatusCode == http.StatusOK
}
