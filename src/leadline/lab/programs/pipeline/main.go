// A pipeline of three stages with buffered channels. The last stage is the slowest: buffers are full, and the stages before it
// wait to send, for a moment each time.
package main

import (
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 16, Run: run}) }

func run(r *rig.Rig) {
	read, parsed := make(chan int, 64), make(chan int, 64)
	r.Ready("")
	for i := 0; i < r.N; i++ {
		go produce(read)
		go parse(read, parsed)
		go store(r, parsed)
	}
}

func produce(out chan<- int) {
	for i := 0; ; i++ {
		out <- i
	}
}

func parse(in <-chan int, out chan<- int) {
	for number := range in {
		out <- number * number
	}
}

func store(r *rig.Rig, in <-chan int) {
	for range in {
		time.Sleep(25 * time.Millisecond)
		r.Worked()
	}
}
