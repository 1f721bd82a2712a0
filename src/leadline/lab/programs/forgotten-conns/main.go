// A line server that notes each of its connections in one place or another (-keep), and never closes one: when the clients
// leave, their connections stay in CLOSE_WAIT, with no goroutine, but still referenced.
package main

import (
	"bufio"
	"container/list"
	"flag"
	"fmt"
	"net"
	"sync"
	"time"

	"lab/internal/rig"
)

var where = flag.String("keep", "map", "where connections are kept: map, slice, list, sync-map, closure or channel")

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: rig.TalkAndLeave}) }

type session struct {
	conn  net.Conn
	since time.Time
}

var (
	mutex    sync.Mutex
	byAddr   = map[string]*session{}
	visitors []net.Conn
	history  = list.New()
	sessions sync.Map
	hooks    []func() error
	farewell = make(chan net.Conn, 4096)
)

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go serve(r, listener)
	r.Ready(listener.Addr().String())
}

func serve(r *rig.Rig, listener net.Listener) {
	for {
		conn, err := listener.Accept() // want: acquired
		r.Must(err)
		go answer(r, conn)
	}
}

func answer(r *rig.Rig, conn net.Conn) {
	r.Must(keep(conn))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "you said ", line)
	}
	r.Did()
}

func keep(conn net.Conn) error {
	mutex.Lock()
	defer mutex.Unlock()
	switch *where {
	case "map":
		byAddr[conn.RemoteAddr().String()] = &session{conn, time.Now()}
	case "slice":
		visitors = append(visitors, conn)
	case "list":
		history.PushBack(&session{conn, time.Now()})
	case "sync-map":
		sessions.Store(conn.RemoteAddr().String(), &session{conn, time.Now()})
	case "closure":
		hooks = append(hooks, func() error { return hangUp(conn) })
	case "channel":
		farewell <- conn
	default:
		return fmt.Errorf("unknown -keep %q", *where)
	}
	return nil
}

func hangUp(conn net.Conn) error {
	fmt.Fprintln(conn, "bye")
	return conn.Close()
}
