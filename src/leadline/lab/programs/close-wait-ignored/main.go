// A collector whose goroutines read until their client has gone, and then wait for a confirmation of the storage before they
// hang up. None ever comes: connections stay in CLOSE_WAIT, each with a goroutine that knows of the end and ignores it.
package main

import (
	"bufio"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Clients: rig.TalkAndLeave}) }

type collector struct {
	rig    *rig.Rig
	stored chan struct{}
}

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go (&collector{rig: r, stored: make(chan struct{})}).serve(listener)
	r.Ready(listener.Addr().String())
}

func (c *collector) serve(listener net.Listener) {
	for {
		conn, err := listener.Accept() // want: acquired
		c.rig.Must(err)
		go c.collect(conn)
	}
}

func (c *collector) collect(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		conn.Write([]byte("noted\n"))
	}
	c.rig.Did()
	<-c.stored // want: parked
}
