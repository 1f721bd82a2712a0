// A client that dials a name with an IPv6 and an IPv4 address: Go dials both on goroutines of their own (Happy Eyeballs), so
// the stack of the socket shows no line of the application. The connection is never closed.
package main

import (
	"context"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

var registered []net.Conn

func run(r *rig.Rig) {
	dialer := &net.Dialer{Resolver: rig.DualStackResolver()}
	_, port, err := net.SplitHostPort(r.Peer)
	r.Must(err)
	r.Ready("")
	r.Repeat(func(int) { r.Must(register(dialer, net.JoinHostPort(rig.DualStackName, port))) })
}

func register(dialer *net.Dialer, addr string) error {
	conn, err := dialer.DialContext(context.Background(), "tcp", addr) // want: caller
	if err != nil {
		return err
	}
	registered = append(registered, conn)
	return nil
}
