// A price service that asks for each quote on a goroutine and gives up after a millisecond. Nobody takes the late answer from
// the channel, which has no buffer: the goroutine waits to send it for ever.
package main

import (
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(i int) { price(i) })
}

func price(article int) int {
	quotes := make(chan int)
	go quote(article, quotes)
	select {
	case price := <-quotes:
		return price
	case <-time.After(time.Millisecond):
		return 0 // unknown
	}
}

func quote(article int, quotes chan<- int) {
	time.Sleep(30 * time.Millisecond)
	quotes <- 100 + article // want: parked
}
