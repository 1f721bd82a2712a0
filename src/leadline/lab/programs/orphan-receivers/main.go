// A batch job that starts a worker per batch and never closes the channel of its jobs: the worker waits for more of them for
// ever.
package main

import "lab/internal/rig"

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(batch int) { process(batch) })
}

func process(batch int) {
	jobs := make(chan int)
	sums := make(chan int, 3)
	go work(jobs, sums)
	for job := 0; job < 3; job++ {
		jobs <- batch + job
	}
	for job := 0; job < 3; job++ {
		<-sums
	}
}

func work(jobs <-chan int, sums chan<- int) {
	for job := range jobs { // want: parked
		sums <- job * job
	}
}
