// A statistics client that makes a UDP socket per report and closes none.
package main

import (
	"fmt"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

var sockets []net.Conn

func run(r *rig.Rig) {
	sink, err := net.ListenPacket("udp", r.Listen)
	r.Must(err)
	r.Ready("")
	r.Repeat(func(int) { r.Must(report(sink.LocalAddr().String())) })
}

func report(addr string) error {
	socket, err := net.Dial("udp", addr) // want: acquired
	if err != nil {
		return err
	}
	sockets = append(sockets, socket)
	_, err = fmt.Fprintln(socket, "requests:1|c")
	return err
}
