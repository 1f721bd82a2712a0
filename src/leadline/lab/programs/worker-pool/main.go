// Three hundred workers wait on one channel for jobs, of which there are thirty a second: nearly all of them are parked nearly
// all the time, as it should be.
package main

import (
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 300, Rate: 30, Run: run}) }

func run(r *rig.Rig) {
	jobs := make(chan int)
	for i := 0; i < r.N; i++ {
		go work(r, jobs)
	}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		jobs <- i
		return true
	})
}

func work(r *rig.Rig, jobs <-chan int) {
	for range jobs {
		time.Sleep(20 * time.Millisecond)
		r.Worked()
	}
}
