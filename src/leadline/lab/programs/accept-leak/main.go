// A line server with an accept loop of its own. It keeps each connection in a table of clients and never closes one:
// when the clients leave, their connections stay in CLOSE_WAIT.
package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: rig.TalkAndLeave}) }

type server struct {
	rig     *rig.Rig
	mutex   sync.Mutex
	clients []net.Conn
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go (&server{rig: r}).serve(listener)
	r.Ready(listener.Addr().String())
}

func (s *server) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept() // want: acquired
		s.rig.Must(err)
		go s.answer(conn)
	}
}

func (s *server) answer(conn net.Conn) {
	s.mutex.Lock()
	s.clients = append(s.clients, conn)
	s.mutex.Unlock()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "you said ", line)
	}
	s.rig.Did()
}
