// A client that gives up dialling after 30 ms. The other end never accepts and its queue is full, so each dial is cancelled while
// it is under way; Go closes its socket.
package main

import (
	"context"
	"net"
	"syscall"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 20, Run: run, Upstream: blackHole}) }

// blackHole listens with the shortest queue, fills it, and never accepts.
func blackHole(r *rig.Rig) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	r.Must(err)
	r.Must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	r.Must(syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	r.Must(err)
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for {
		if _, err := net.DialTimeout("tcp", addr, 300*time.Millisecond); err != nil {
			break // full
		}
	}
	r.Announce(addr)
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		try(r.Peer)
		r.Worked()
		return true
	})
}

func try(addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr); err == nil {
		conn.Close()
	}
}
