// A client that takes a duplicate of its connection by File, hands it on, and closes both.
package main

import (
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 10, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(visit(r.Peer))
		r.Worked()
		return true
	})
}

func visit(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	if _, err := file.WriteString("hello\n"); err != nil {
		return err
	}
	return file.Close()
}
