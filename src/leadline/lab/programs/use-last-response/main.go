// A client that stops at redirects with http.ErrUseLastResponse, and closes what it gets.
package main

import (
	"net/http"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 20, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) { rig.ServeHTTP(r, http.RedirectHandler("/elsewhere", http.StatusFound)) }

func run(r *rig.Rig) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		response, err := client.Get("http://" + r.Peer + "/")
		r.Must(err)
		if response.StatusCode != http.StatusFound {
			r.Fail(http.ErrNotSupported)
		}
		rig.Drain(response.Body)
		response.Body.Close()
		r.Worked()
		return true
	})
}
