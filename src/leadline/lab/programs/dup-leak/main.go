// A server that tunes one long-lived connection again and again through its File, and never closes the duplicate that File
// returns: many descriptors, one socket.
package main

import (
	"net"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

var duplicates []*os.File

func run(r *rig.Rig) {
	conn, err := net.Dial("tcp", r.Peer)
	r.Must(err)
	r.Ready("")
	r.Repeat(func(int) { r.Must(tune(conn.(*net.TCPConn))) })
}

func tune(conn *net.TCPConn) error {
	file, err := conn.File() // want: acquired
	if err != nil {
		return err
	}
	duplicates = append(duplicates, file)
	return nil
}
