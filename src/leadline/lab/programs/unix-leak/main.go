// A client of a local agent that opens a unix connection per call and closes none.
package main

import (
	"fmt"
	"net"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: agent}) }

func agent(r *rig.Rig) {
	listener, err := net.Listen("unix", fmt.Sprintf("%s/agent-%d", r.Dir(), os.Getpid()))
	r.Must(err)
	r.Announce(listener.Addr().String())
	for {
		conn, err := listener.Accept()
		r.Must(err)
		go rig.Echo(conn)
	}
}

var calls []net.Conn

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(askAgent(r.Peer)) })
}

func askAgent(path string) error {
	conn, err := net.Dial("unix", path) // want: acquired
	if err != nil {
		return err
	}
	calls = append(calls, conn)
	_, err = fmt.Fprintln(conn, "status")
	return err
}
