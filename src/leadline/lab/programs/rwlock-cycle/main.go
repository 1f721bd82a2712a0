// A cache that takes its read lock again while it holds it. When somebody asks for the write lock in between, each waits for
// the other for ever, and all further readers behind them. The rest of the program answers as before.
package main

import (
	"net"
	"net/http"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 21, Rate: 4, Run: run, Clients: clients}) }

type cache struct {
	lock  sync.RWMutex
	pages map[string]string
}

var pages = &cache{pages: map[string]string{"/": "home"}}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go http.Serve(listener, http.NotFoundHandler())
	r.Ready(listener.Addr().String())
	go pages.report()
	time.Sleep(20 * time.Millisecond)
	go pages.put("/news", "none")
	time.Sleep(100 * time.Millisecond)
	r.Repeat(func(int) { go pages.get("/") })
}

// report looks at all pages under the read lock, and at each under another one.
func (c *cache) report() int {
	c.lock.RLock()
	defer c.lock.RUnlock()
	time.Sleep(50 * time.Millisecond) // asks a disk
	size := 0
	for path := range c.pages {
		size += len(c.get(path)) // want: caller
	}
	return size
}

func (c *cache) get(path string) string {
	c.lock.RLock() // want: parked
	defer c.lock.RUnlock()
	return c.pages[path]
}

func (c *cache) put(path, text string) {
	c.lock.Lock() // want: parked
	defer c.lock.Unlock()
	c.pages[path] = text
}

func clients(r *rig.Rig) {
	r.Rate = 5
	rig.GetForEver(r, "/health", 0)
}
