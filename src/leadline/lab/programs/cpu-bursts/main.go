// Every two seconds two hundred goroutines are ready to run at once, for some tenths of a second: work comes in bursts, and is
// done in between.
package main

import (
	"hash/crc32"
	"sync"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 200, Rate: 0.5, Run: run}) }

func run(r *rig.Rig) {
	picture := make([]byte, 1<<20)
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		var burst sync.WaitGroup
		for i := 0; i < r.N; i++ {
			burst.Add(1)
			go func() {
				defer burst.Done()
				for round := 0; round < 50; round++ {
					crc32.ChecksumIEEE(picture)
				}
			}()
		}
		burst.Wait()
		r.Worked()
		return true
	})
}
