// A client with a cache of twelve connections of its own, by name of the shard, and no goroutine on any of them: each is used
// again when its shard is asked.
package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 12, Rate: 10, Run: run, Upstream: rig.EchoUpstream}) }

type shard struct {
	mutex sync.Mutex
	conn  net.Conn
}

var shards = map[string]*shard{}

func run(r *rig.Rig) {
	for i := 0; i < r.N; i++ {
		shards[fmt.Sprintf("shard-%d", i)] = &shard{}
	}
	r.Ready("")
	rig.Pace(r.Rate, func(i int) bool {
		r.Must(shards[fmt.Sprintf("shard-%d", i%r.N)].ask(r.Peer, "how many"))
		r.Worked()
		return true
	})
}

func (s *shard) ask(addr, question string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.conn == nil {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	fmt.Fprintln(s.conn, question)
	_, err := bufio.NewReader(s.conn).ReadString('\n')
	return err
}
