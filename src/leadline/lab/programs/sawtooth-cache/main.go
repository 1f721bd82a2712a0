// A cache without single eviction: it opens ten files a second, and throws all away when it holds sixty. It climbs for six
// seconds and looks like a leak until it falls.
package main

import (
	"fmt"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 60, Rate: 10, Run: run}) }

var open []*os.File

func run(r *rig.Rig) {
	paths := make([]string, 200)
	for i := range paths {
		paths[i] = r.File(fmt.Sprintf("tile-%d", i), "tile\n")
	}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		r.Must(load(paths[i%len(paths)], r.N))
		r.Worked()
		return true
	})
}

func load(path string, limit int) error {
	if len(open) >= limit {
		for _, file := range open {
			file.Close()
		}
		open = nil
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	open = append(open, file)
	return nil
}
