// A client that upgrades its connections to TLS and gives up when the handshake fails, without closing the raw connection.
// The other end speaks plain HTTP and hangs up.
package main

import (
	"crypto/tls"
	"net"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, "plain") }})
}

var attempts []net.Conn

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) {
		if _, err := connect(r.Peer); err == nil {
			r.Fail(net.ErrClosed)
		}
	})
}

func connect(addr string) (net.Conn, error) {
	raw, err := net.Dial("tcp", addr) // want: acquired
	if err != nil {
		return nil, err
	}
	attempts = append(attempts, raw)
	secure := tls.Client(raw, rig.Trusting())
	if err := secure.Handshake(); err != nil {
		return nil, err
	}
	return secure, nil
}
