// A client that reads each body to its end and never closes it. Bad manners, but at the end of the body the connection has
// gone back to the pool already.
package main

import (
	"io"
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 20, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		response, err := http.Get("http://" + r.Peer + "/")
		r.Must(err)
		_, err = io.ReadAll(response.Body)
		r.Must(err)
		r.Worked()
		return true
	})
}
