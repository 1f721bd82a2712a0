// A supervisor that is healthy itself and after some seconds starts a worker process, which leaks files.
package main

import (
	"flag"
	"os"
	"time"

	"lab/internal/rig"
)

var after = flag.Duration("after", 4*time.Second, "time before the worker is started")

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: supervise, Child: work}) }

func supervise(r *rig.Rig) {
	r.Ready("")
	time.Sleep(*after)
	r.Must(r.StartChild().Wait())
}

var spool []*os.File

func work(r *rig.Rig) {
	path := r.File("spool", "mail\n")
	r.Repeat(func(int) { r.Must(deliver(path)) })
}

func deliver(path string) error {
	file, err := os.Open(path) // want: acquired
	if err != nil {
		return err
	}
	spool = append(spool, file)
	return nil
}
