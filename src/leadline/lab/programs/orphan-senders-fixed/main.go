// The price service of orphan-senders with room for one answer in the channel: the late goroutine leaves it there and ends.
package main

import (
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 20, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		price(r, i)
		return true
	})
}

func price(r *rig.Rig, article int) int {
	quotes := make(chan int, 1)
	go quote(r, article, quotes)
	select {
	case price := <-quotes:
		return price
	case <-time.After(time.Millisecond):
		return 0 // unknown
	}
}

func quote(r *rig.Rig, article int, quotes chan<- int) {
	time.Sleep(300 * time.Millisecond)
	quotes <- 100 + article
	r.Worked()
}
