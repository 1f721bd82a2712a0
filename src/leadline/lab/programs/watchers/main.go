// Goroutines that wait by design for something that hardly ever happens: a signal, a tick of an hour, the end of a context, the
// end of a group of workers, a change of configuration.
package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 12, Rate: 5, Run: run}) }

type config struct {
	mutex   sync.Mutex
	changed *sync.Cond
	version int
}

func run(r *rig.Rig) {
	ctx, cancel := context.WithCancel(context.Background())
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	c := &config{}
	c.changed = sync.NewCond(&c.mutex)
	var workers sync.WaitGroup
	for i := 0; i < r.N; i++ {
		workers.Add(1)
		go work(ctx, &workers, time.NewTicker(time.Hour))
		go c.follow()
	}
	go func() { // reloads, or stops for good
		<-hangUps
		cancel()
		c.change()
	}()
	go rest(r, &workers)
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Worked()
		return true
	})
}

func work(ctx context.Context, workers *sync.WaitGroup, ticker *time.Ticker) {
	defer workers.Done()
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *config) follow() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for seen := c.version; seen == c.version; {
		c.changed.Wait()
	}
}

func (c *config) change() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.version++
	c.changed.Broadcast()
}

func rest(r *rig.Rig, workers *sync.WaitGroup) {
	workers.Wait()
	r.Exit(0)
}
