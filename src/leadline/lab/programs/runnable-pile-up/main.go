// An image service that starts a goroutine per picture and may use one CPU only (GOMAXPROCS=1): three hundred of them are
// ready to run and wait for it. The work ends by itself after -busy.
package main

import (
	"flag"
	"hash/crc32"
	"runtime"
	"time"

	"lab/internal/rig"
)

var busy = flag.Duration("busy", 25*time.Second, "end the work after this time")

func main() { rig.Main(rig.Service{N: 307, Rate: 300, Run: run}) }

func run(r *rig.Rig) {
	runtime.GOMAXPROCS(1)
	picture := make([]byte, 1<<20)
	r.Ready("")
	end := time.Now().Add(*busy)
	for i := 0; i < r.N; i++ {
		go scale(picture, end)
		r.Did()
	}
}

func scale(picture []byte, end time.Time) uint32 {
	var sum uint32
	for time.Now().Before(end) {
		for line := 0; line < 20; line++ {
			sum += crc32.ChecksumIEEE(picture)
		}
		runtime.Gosched() // want: parked
	}
	return sum
}
