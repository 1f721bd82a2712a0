// A bridge to devices that reads from descriptors in blocking mode, behind the back of Go's poller: each of its goroutines
// holds a thread of its own for as long as no device says a word. The descriptors were all there before.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 53, Rate: 10, Run: run}) }

type device struct{ ours, theirs int }

func run(r *rig.Rig) {
	devices := make([]device, r.N)
	for i := range devices {
		var ends [2]int
		r.Must(syscall.Pipe(ends[:]))
		devices[i] = device{ours: ends[0], theirs: ends[1]}
	}
	r.Ready("")
	r.Repeat(func(i int) { go devices[i].listen() })
}

func (d device) listen() {
	var word [16]byte
	for {
		count, err := syscall.Read(d.ours, word[:]) // want: parked
		if count <= 0 && err != syscall.EINTR {
			return
		}
	}
}
