// Twenty goroutines read files, which blocks a thread each time, for microseconds.
package main

import (
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 20, Rate: 10, Run: run}) }

func run(r *rig.Rig) {
	page := r.File("page", rig.Body())
	r.Ready("")
	for i := 0; i < r.N; i++ {
		go rig.Pace(r.Rate, func(int) bool {
			_, err := os.ReadFile(page)
			r.Must(err)
			r.Worked()
			return true
		})
	}
}
