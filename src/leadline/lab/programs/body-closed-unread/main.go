// A client that closes each body unread. The connection may have to be dropped, so there is churn, and no leak.
package main

import (
	"net/http"
	"strings"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 20, Run: run, Upstream: func(r *rig.Rig) {
		rig.HTTPUpstream(r, strings.Repeat(rig.Body(), 512)) // half a megabyte: too much for Go to drain on the quiet
	}})
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		response, err := http.Get("http://" + r.Peer + "/")
		r.Must(err)
		response.Body.Close()
		r.Worked()
		return true
	})
}
