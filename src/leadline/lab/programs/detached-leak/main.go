// An application that warms up sessions in the background: the goroutine runs a function of the library, so the only line of
// the application in sight is its go statement.
package main

import (
	"kit.example/kit/fetch"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		warmUp(r)
		return r.N == 0 || i < r.N-1
	})
}

func warmUp(r *rig.Rig) {
	go fetch.Warm(r.Peer, r.Did) // want: created-by
}
