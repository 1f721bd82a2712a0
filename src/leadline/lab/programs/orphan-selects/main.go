// A service that starts a watcher per session. It listens for changes and for the end of the session's context; there are no
// changes, and the context is never cancelled.
package main

import (
	"context"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

type session struct {
	number  int
	changes chan string
	leave   context.CancelFunc // nobody calls it
}

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(i int) {
		ctx, leave := context.WithCancel(context.Background())
		go (&session{number: i, changes: make(chan string), leave: leave}).watch(ctx)
	})
}

func (s *session) watch(ctx context.Context) {
	for {
		select { // want: parked
		case <-s.changes:
			s.number++
		case <-ctx.Done():
			return
		}
	}
}
