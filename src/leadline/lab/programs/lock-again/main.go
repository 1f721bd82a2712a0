// A counter whose method locks its mutex and calls another method that locks it too: the goroutine waits for itself for ever,
// and all others behind it. The rest of the program answers as before.
package main

import (
	"net"
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 22, Rate: 4, Run: run, Clients: clients}) }

type counter struct {
	mutex sync.Mutex
	seen  map[string]int
}

var visits = &counter{seen: map[string]int{}}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, http.NotFoundHandler())
	r.Ready(listener.Addr().String())
	go visits.add("/")
	time.Sleep(100 * time.Millisecond)
	r.Repeat(func(int) { go visits.total() })
}

func (c *counter) add(path string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.seen[path]++
	if c.total() > 1000 { // want: caller
		c.seen = map[string]int{}
	}
}

func (c *counter) total() int {
	c.mutex.Lock() // want: parked
	defer c.mutex.Unlock()
	sum := 0
	for _, count := range c.seen {
		sum += count
	}
	return sum
}

func clients(r *rig.Rig) {
	r.Rate = 5
	rig.GetForEver(r, "/health", 0)
}
