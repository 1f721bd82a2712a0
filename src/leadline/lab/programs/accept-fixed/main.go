// The line server of accept-leak with the missing lines: a client that leaves is taken off the table and closed.
package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 2, Run: run, Clients: rig.TalkForEver}) }

type server struct {
	rig     *rig.Rig
	mutex   sync.Mutex
	clients map[net.Conn]bool
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go (&server{rig: r, clients: map[net.Conn]bool{}}).serve(listener)
	r.Ready(listener.Addr().String())
}

func (s *server) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		s.rig.Must(err)
		go s.answer(conn)
	}
}

func (s *server) answer(conn net.Conn) {
	s.mutex.Lock()
	s.clients[conn] = true
	s.mutex.Unlock()
	defer s.forget(conn)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "you said ", line)
	}
	s.rig.Worked()
}

func (s *server) forget(conn net.Conn) {
	s.mutex.Lock()
	delete(s.clients, conn)
	s.mutex.Unlock()
	conn.Close()
}
