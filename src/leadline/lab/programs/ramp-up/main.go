// A line server on a morning: sessions of about a second and a half arrive more and more often for eight seconds, then at a
// steady rate. All are closed; the number of open ones follows the traffic.
package main

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 40, Run: run, Clients: clients}) }

func run(r *rig.Rig) {
	listener, err := net.Listen("tcp", r.Listen)
	r.Must(err)
	go serve(r, listener)
	r.Ready(listener.Addr().String())
}

func serve(r *rig.Rig, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		r.Must(err)
		r.Worked()
		go rig.Echo(conn)
	}
}

func clients(r *rig.Rig) {
	r.AnnounceClients()
	begin := time.Now()
	rig.Pace(r.Rate, func(i int) bool {
		// One arrival in ten at first, all of them after eight seconds.
		if time.Since(begin) > time.Duration(i%10)*800*time.Millisecond {
			go session(r.Peer, i)
		}
		return true
	})
}

func session(addr string, i int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for step := 0; step < 3; step++ {
		fmt.Fprintln(conn, "step", step)
		answers.ReadString('\n')
		time.Sleep(time.Duration(400+i%7*40) * time.Millisecond)
	}
}
