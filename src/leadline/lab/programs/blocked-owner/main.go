// A payment client whose goroutine holds its connection until somebody approves the payment. Nobody ever does: connection
// and goroutine stay for ever.
package main

import (
	"fmt"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(i int) {
		conn, err := connect(r.Peer)
		r.Must(err)
		go pay(conn, i, make(chan bool))
	})
}

func connect(addr string) (net.Conn, error) {
	return net.Dial("tcp", addr) // want: acquired
}

func pay(conn net.Conn, order int, approved chan bool) {
	defer conn.Close()
	if <-approved { // want: parked
		fmt.Fprintln(conn, "pay", order)
	}
}
