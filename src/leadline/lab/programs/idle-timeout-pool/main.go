// A client with bursts of thirty requests at a time every five seconds, whose idle connections are given up after two.
package main

import (
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 30, Rate: 0.2, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond)
		w.Write([]byte(rig.Body()))
	}))
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: 2 * time.Second}}
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		var burst sync.WaitGroup
		for i := 0; i < r.N; i++ {
			burst.Add(1)
			go func() {
				defer burst.Done()
				r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/"))
				r.Worked()
			}()
		}
		burst.Wait()
		return true
	})
}
