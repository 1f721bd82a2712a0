// Sixty goroutines want the same two locks all the time, always in the same order, and hold them for a moment: at each look
// most of them wait for a lock, and each gets it soon.
package main

import (
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 60, Run: run}) }

type ledger struct {
	mutex   sync.Mutex
	pages   sync.RWMutex
	entries int
}

func run(r *rig.Rig) {
	l := &ledger{}
	r.Ready("")
	for i := 0; i < r.N; i++ {
		go func(writes bool) {
			for {
				if writes {
					l.write()
				} else {
					l.read()
				}
				r.Worked()
			}
		}(i%3 > 0)
	}
}

func (l *ledger) write() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.pages.Lock()
	defer l.pages.Unlock()
	time.Sleep(time.Millisecond)
	l.entries++
}

func (l *ledger) read() int {
	l.pages.RLock()
	defer l.pages.RUnlock()
	time.Sleep(time.Millisecond)
	return l.entries
}
