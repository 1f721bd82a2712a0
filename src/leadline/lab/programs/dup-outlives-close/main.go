// A client that closes its connections properly, but had taken a duplicate of each by File: the socket lives on.
package main

import (
	"net"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

var duplicates []*os.File

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(visit(r.Peer)) })
}

func visit(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return remember(conn.(*net.TCPConn))
}

func remember(conn *net.TCPConn) error {
	file, err := conn.File() // want: acquired
	if err != nil {
		return err
	}
	duplicates = append(duplicates, file)
	return nil
}
