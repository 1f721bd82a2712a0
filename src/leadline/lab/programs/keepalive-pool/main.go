// A gateway with a large keep-alive pool: traffic grows from 4 to 48 requests at a time in five seconds and stays there. The
// pool fills up to its plateau; nothing leaks.
package main

import (
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 48, Rate: 10, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	rig.ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond)
		w.Write([]byte(rig.Body()))
	}))
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 200, MaxIdleConnsPerHost: 200}}
	r.Ready("")
	for i := 0; i < 4; i++ {
		go askForEver(r, client)
	}
	rig.Pace(r.Rate, func(i int) bool {
		go askForEver(r, client)
		return i < r.N-5
	})
}

// askForEver is one of the many users of the pool, who asks again as soon as there is an answer.
func askForEver(r *rig.Rig, client *http.Client) {
	for {
		r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/"))
		r.Worked()
	}
}
