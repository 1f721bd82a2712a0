// A client that makes a connection per request, a hundred a second, and closes each one.
package main

import (
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 100, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/"))
		r.Worked()
		return true
	})
}
