// A client that sets a socket option through File().Fd(), which puts the connection itself into blocking mode: from then on
// its read deadline is not kept, and Close waits for a read that never ends.
package main

import (
	"net"
	"syscall"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) {
		conn, err := connect(r.Peer)
		r.Must(err)
		reading := make(chan struct{})
		go read(conn, reading)
		<-reading
		time.AfterFunc(200*time.Millisecond, func() { hangUp(conn) })
	})
}

func connect(addr string) (*net.TCPConn, error) {
	conn, err := net.Dial("tcp", addr) // want: acquired
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), tune(conn.(*net.TCPConn))
}

func tune(conn *net.TCPConn) error {
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	return syscall.SetsockoptInt(int(file.Fd()), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 30)
}

func read(conn net.Conn, reading chan struct{}) {
	var answer [64]byte
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	close(reading)
	conn.Read(answer[:]) // want: parked
}

func hangUp(conn net.Conn) {
	conn.Close() // want: parked
}
