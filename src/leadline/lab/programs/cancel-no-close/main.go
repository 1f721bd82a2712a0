// A prober that believes that cancelling the context of a finished dial closes the connection. It does not.
package main

import (
	"context"
	"net"
	"runtime/debug"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	debug.SetGCPercent(-1) // a collection would close the connections that nobody refers to
	r.Ready("")
	r.Repeat(func(int) { r.Must(probe(r.Peer)) })
}

func probe(addr string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr) // want: acquired
	return err
}
