// A server of events (SSE): forty clients were there before and hold a response open for ever, with an event every three
// seconds. Each has a handler that waits for the next one.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 40, Rate: 100, Run: run, Clients: clients}) }

type stream struct {
	rig  *rig.Rig
	here atomic.Int64
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	s := &stream{rig: r}
	go http.Serve(listener, s)
	r.ReadyAfter(listener.Addr().String(), func() bool { return s.here.Load() == int64(r.N) })
}

func (s *stream) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	s.here.Add(1)
	ticker := time.NewTicker(3 * time.Second)
	defer ticker.Stop()
	for {
		fmt.Fprintf(w, "data: %s\n\n", time.Now())
		w.(http.Flusher).Flush()
		s.rig.Worked()
		select {
		case <-ticker.C:
		case <-request.Context().Done():
			return
		}
	}
}

func clients(r *rig.Rig) {
	r.Announce("")
	rig.Pace(r.Rate, func(i int) bool {
		go listen(r)
		return i < r.N-1
	})
}

func listen(r *rig.Rig) {
	response, err := http.Get("http://" + r.Peer + "/events")
	r.Must(err)
	defer response.Body.Close()
	for events := bufio.NewScanner(response.Body); events.Scan(); {
	}
}
