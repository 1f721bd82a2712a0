// A subscriber that starts a goroutine per topic which waits for a message without a deadline. The broker never says a word:
// connection and goroutine stay for ever.
package main

import (
	"bufio"
	"net"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) {
		conn, err := openTopic(r.Peer)
		r.Must(err)
		go listen(conn)
	})
}

func openTopic(addr string) (net.Conn, error) {
	return net.Dial("tcp", addr) // want: acquired
}

func listen(conn net.Conn) {
	defer conn.Close()
	for {
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			return
		}
	}
}
