// A reader of twenty event streams over one HTTP/2 connection, as gRPC has them: a goroutine waits on each for the next event,
// which comes every three seconds.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 20, Rate: 20, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTPS(r, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		ticker := time.NewTicker(3 * time.Second)
		defer ticker.Stop()
		for number := 0; ; number++ {
			fmt.Fprintf(w, "event %d\n", number)
			w.(http.Flusher).Flush()
			select {
			case <-ticker.C:
			case <-request.Context().Done():
				return
			}
		}
	})})
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: rig.Trusting(), ForceAttemptHTTP2: true}}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		go follow(r, client, "https://"+r.Peer+"/events")
		return i < r.N-1
	})
}

func follow(r *rig.Rig, client *http.Client, url string) {
	response, err := client.Get(url)
	r.Must(err)
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		r.Fail(http.ErrNotSupported)
	}
	for events := bufio.NewScanner(response.Body); events.Scan(); {
		r.Worked()
	}
}
