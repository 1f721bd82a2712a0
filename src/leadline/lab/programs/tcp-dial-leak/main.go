// A metrics sender that reconnects whenever it thinks its connection went stale, and never closes the one before.
package main

import (
	"bufio"
	"fmt"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

type sender struct {
	addr  string
	conns []net.Conn
}

func run(r *rig.Rig) {
	s := &sender{addr: r.Peer}
	r.Ready("")
	r.Repeat(func(int) {
		r.Must(s.reconnect())
		r.Must(s.send("requests 1"))
	})
}

func (s *sender) reconnect() error {
	conn, err := net.Dial("tcp", s.addr) // want: acquired
	if err != nil {
		return err
	}
	s.conns = append(s.conns, conn)
	return nil
}

func (s *sender) send(metric string) error {
	conn := s.conns[len(s.conns)-1]
	fmt.Fprintln(conn, metric)
	_, err := bufio.NewReader(conn).ReadString('\n')
	return err
}
