// A client that has leaked 200 connections long before anybody looks, and goes on.
package main

import (
	"flag"
	"net"

	"lab/internal/rig"
)

var before = flag.Int("before", 200, "connections leaked before the program is ready")

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

var lost []net.Conn

func run(r *rig.Rig) {
	for i := 0; i < *before; i++ {
		r.Must(open(r.Peer))
	}
	r.Ready("")
	r.Repeat(func(int) { r.Must(open(r.Peer)) })
}

func open(addr string) error {
	conn, err := net.Dial("tcp", addr) // want: acquired
	if err != nil {
		return err
	}
	lost = append(lost, conn)
	return nil
}
