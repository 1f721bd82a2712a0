// A watcher that runs for ever and puts the Close of each file into a defer inside its loop: no defer runs before the
// function returns, which it never does.
package main

import (
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	path := r.File("spool", "mail\n")
	tick := make(chan bool)
	go watchSpool(r, path, tick)
	r.Ready("")
	r.Repeat(func(int) {
		tick <- true
		<-tick
	})
}

func watchSpool(r *rig.Rig, path string, tick chan bool) {
	for range tick {
		file, err := os.Open(path) // want: acquired
		r.Must(err)
		defer file.Close()
		tick <- true
	}
}
