// A gateway at 200 requests a second over kept-alive connections. One answer in 500 is 503, and on that path the function
// returns before it closes the body.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"lab/internal/rig"
)

var every = flag.Int64("every", 500, "one request in so many is refused by the upstream")

func main() { rig.Main(rig.Service{N: 37, Rate: 200, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if number, _ := strconv.ParseInt(request.URL.Path[1:], 10, 64); number%*every == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		w.Write([]byte(rig.Body()))
	}))
}

var errBusy = errors.New("the upstream is busy")

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	r.Ready("")
	const workers = 8
	var number, leaked atomic.Int64
	for i := 0; i < workers; i++ {
		go rig.Pace(r.Rate/workers, func(int) bool {
			next := number.Add(1)
			if r.N > 0 && leaked.Load() >= int64(r.N) && next%*every == 0 {
				return true // the planned number is reached: only healthy traffic from here on
			}
			switch err := forward(client, fmt.Sprintf("http://%s/%d", r.Peer, next)); err {
			case nil:
			case errBusy:
				leaked.Add(1)
				r.Did()
			default:
				r.Fail(err)
			}
			return true
		})
	}
}

func forward(client *http.Client, url string) error {
	response, err := client.Get(url) // want: caller
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusServiceUnavailable {
		return errBusy
	}
	defer response.Body.Close()
	rig.Drain(response.Body)
	return nil
}
