// A line server that survives panics of its handler by recover, but hangs up only when the handler ends well: each bad
// request leaves its connection open, and in CLOSE_WAIT once the client has gone.
package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: rig.TalkAndLeave}) }

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
		go handle(r, conn)
	}
}

func handle(r *rig.Rig, conn net.Conn) {
	defer func() {
		if recover() != nil {
			r.Did()
		}
	}()
	line, _ := bufio.NewReader(conn).ReadString('\n')
	words := strings.Fields(line)
	fmt.Fprintln(conn, "your third word is", words[2]) // requests have two
	conn.Close()
}
