// A service that opens all its shards at the start and keeps them: no leak, but 95 % of its descriptor limit is in use.
package main

import (
	"flag"
	"fmt"
	"os"
	"syscall"

	"lab/internal/rig"
)

var limit = flag.Uint64("limit", 256, "soft limit of descriptors")

func main() { rig.Main(rig.Service{N: 0, Rate: 5, Run: run}) }

var shards []*os.File

func run(r *rig.Rig) {
	var now syscall.Rlimit
	r.Must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now))
	now.Cur = *limit
	r.Must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now))
	for i := 0; inUse(r) < int(*limit)*95/100; i++ {
		shard, err := os.Open(r.File(fmt.Sprintf("shard-%d", i), "shard\n"))
		r.Must(err)
		shards = append(shards, shard)
	}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		var text [5]byte
		_, err := shards[i%len(shards)].ReadAt(text[:], 0)
		r.Must(err)
		r.Worked()
		return true
	})
}

// inUse counts our descriptors, without the one that counting takes.
func inUse(r *rig.Rig) int {
	entries, err := os.ReadDir("/proc/self/fd")
	r.Must(err)
	return len(entries) - 1
}
