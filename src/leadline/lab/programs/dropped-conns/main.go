// A line server that forgets its connections altogether: nothing refers to them any more, and the next garbage collection
// would close them. It is switched off here, as in a small service that hardly allocates.
package main

import (
	"bufio"
	"fmt"
	"net"
	"runtime/debug"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: rig.TalkAndLeave}) }

func run(r *rig.Rig) {
	debug.SetGCPercent(-1)
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
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil {
		fmt.Fprint(conn, "you said ", line)
	}
	r.Did()
}
