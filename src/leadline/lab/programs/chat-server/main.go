// A chat server: a global registry holds each connection, and a goroutine waits on each for the next line, which is passed on to
// all. Thirty users were there before, thirty more arrive in the first three seconds.
package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 30, Rate: 10, Run: run, Clients: clients}) }

var (
	mutex    sync.Mutex
	registry = map[string]net.Conn{}
)

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go serve(r, listener)
	r.ReadyAfter(listener.Addr().String(), func() bool {
		mutex.Lock()
		defer mutex.Unlock()
		return len(registry) == r.N
	})
}

func serve(r *rig.Rig, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		r.Must(err)
		go chat(r, conn)
	}
}

func chat(r *rig.Rig, conn net.Conn) {
	defer conn.Close()
	name := conn.RemoteAddr().String()
	mutex.Lock()
	registry[name] = conn
	mutex.Unlock()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		tellAll(lines.Text())
		r.Worked()
	}
	mutex.Lock()
	delete(registry, name)
	mutex.Unlock()
}

func tellAll(line string) {
	mutex.Lock()
	defer mutex.Unlock()
	for _, conn := range registry {
		fmt.Fprintln(conn, line)
	}
}

func clients(r *rig.Rig) {
	r.Announce("")
	for i := 0; i < r.N; i++ {
		go user(r, i)
	}
	<-r.Begun()
	rig.Pace(r.Rate, func(i int) bool {
		go user(r, r.N+i)
		return i < r.N-1
	})
}

// user listens, and says a word every ten seconds.
func user(r *rig.Rig, i int) {
	conn, err := net.Dial("tcp", r.Peer)
	r.Must(err)
	go rig.Drain(conn)
	time.Sleep(time.Duration(i%50) * 200 * time.Millisecond)
	rig.Pace(0.1, func(int) bool {
		_, err := fmt.Fprintln(conn, "hello from", i)
		return err == nil
	})
}
