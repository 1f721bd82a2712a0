// A shop whose price client lives in a package of its own, with its own http.Client; it returns early when the answer is not
// what it expected and forgets the body on that path, which is taken each time.
package main

import (
	"context"

	"lab/http-do-leak/pricing"
	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	prices := pricing.New("http://" + r.Peer)
	r.Ready("")
	r.Repeat(func(i int) {
		if _, err := prices.Quote(context.Background(), i); err != pricing.ErrNotJSON {
			r.Fail(err)
		}
	})
}
