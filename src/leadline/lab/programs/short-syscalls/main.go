// Forty goroutines read from descriptors in blocking mode, so that each holds a thread; but the other side says a word twenty
// times a second, and no call lasts.
package main

import (
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 40, Rate: 20, Run: run}) }

type device struct{ ours, theirs int }

func run(r *rig.Rig) {
	devices := make([]device, r.N)
	for i := range devices {
		var ends [2]int
		r.Must(syscall.Pipe(ends[:]))
		devices[i] = device{ours: ends[0], theirs: ends[1]}
		go devices[i].listen(r)
	}
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		for _, one := range devices {
			_, err := syscall.Write(one.theirs, []byte("tick"))
			r.Must(err)
		}
		return true
	})
}

func (d device) listen(r *rig.Rig) {
	var word [16]byte
	for {
		count, err := syscall.Read(d.ours, word[:])
		if count <= 0 && err != syscall.EINTR {
			return
		}
		r.Worked()
	}
}
