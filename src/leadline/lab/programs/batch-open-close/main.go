// A nightly job on a short clock: every three seconds it opens 500 files, works on them for a moment, and closes them all.
package main

import (
	"fmt"
	"os"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 500, Rate: 1.0 / 3, Run: run}) }

func run(r *rig.Rig) {
	paths := make([]string, r.N)
	for i := range paths {
		paths[i] = r.File(fmt.Sprintf("record-%d", i), "record\n")
	}
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(merge(paths))
		r.Worked()
		return true
	})
}

func merge(paths []string) error {
	var open []*os.File
	defer func() {
		for _, file := range open {
			file.Close()
		}
	}()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		open = append(open, file)
	}
	time.Sleep(700 * time.Millisecond)
	return nil
}
