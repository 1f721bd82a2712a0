// A reader of events (SSE): it holds forty responses open for ever, and a goroutine waits on each of their bodies for the
// next event, which comes every three seconds. Half of the streams begin in the first seconds of the work.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 40, Rate: 10, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		ticker := time.NewTicker(3 * time.Second)
		defer ticker.Stop()
		for number := 0; ; number++ {
			fmt.Fprintf(w, "data: %d\n\n", number)
			w.(http.Flusher).Flush()
			select {
			case <-ticker.C:
			case <-request.Context().Done():
				return
			}
		}
	}))
}

var following atomic.Int64

func run(r *rig.Rig) {
	for i := 0; i < r.N/2; i++ {
		go follow(r, "http://"+r.Peer+"/events")
	}
	r.ReadyAfter("", func() bool { return following.Load() == int64(r.N/2) })
	rig.Pace(r.Rate, func(i int) bool {
		go follow(r, "http://"+r.Peer+"/events")
		return i < r.N/2-1
	})
}

func follow(r *rig.Rig, url string) {
	response, err := http.Get(url)
	r.Must(err)
	defer response.Body.Close()
	following.Add(1)
	for events := bufio.NewScanner(response.Body); events.Scan(); {
		if strings.HasPrefix(events.Text(), "data: ") {
			r.Worked()
		}
	}
}
