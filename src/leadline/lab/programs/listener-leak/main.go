// A service that opens a new listener at each reload of its configuration and leaves the old one open.
package main

import (
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

var listeners []net.Listener

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(reload(r.Listen)) })
}

func reload(addr string) error {
	listener, err := net.Listen("tcp", addr) // want: acquired
	if err != nil {
		return err
	}
	listeners = append(listeners, listener)
	return nil
}
