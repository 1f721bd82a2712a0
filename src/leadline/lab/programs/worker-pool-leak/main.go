// A pool of eight workers that take jobs from a channel; a job that dials forgets to hang up.
package main

import (
	"fmt"
	"net"
	"sync"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

type pool struct {
	rig   *rig.Rig
	jobs  chan int
	mutex sync.Mutex
	used  []net.Conn
}

func run(r *rig.Rig) {
	p := &pool{rig: r, jobs: make(chan int)}
	for i := 0; i < 8; i++ {
		go p.work()
	}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		p.jobs <- i
		return r.N == 0 || i < r.N-1
	})
}

func (p *pool) work() {
	for job := range p.jobs {
		p.rig.Must(p.deliver(job))
		p.rig.Did()
	}
}

func (p *pool) deliver(job int) error {
	conn, err := net.Dial("tcp", p.rig.Peer) // want: acquired
	if err != nil {
		return err
	}
	p.mutex.Lock()
	p.used = append(p.used, conn)
	p.mutex.Unlock()
	_, err = fmt.Fprintln(conn, "job", job)
	return err
}
