// A client of a name service: a new UDP socket for each of fifty questions a second, closed after the answer.
package main

import (
	"net"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 50, Run: run, Upstream: nameServer}) }

func nameServer(r *rig.Rig) {
	socket, err := net.ListenPacket("udp", r.Listen)
	r.Must(err)
	r.Announce(socket.LocalAddr().String())
	var text [512]byte
	for {
		size, client, err := socket.ReadFrom(text[:])
		r.Must(err)
		socket.WriteTo(text[:size], client)
	}
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(ask(r.Peer))
		r.Worked()
		return true
	})
}

func ask(addr string) error {
	socket, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer socket.Close()
	socket.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := socket.Write([]byte("www?")); err != nil {
		return err
	}
	var answer [512]byte
	_, err = socket.Read(answer[:])
	return err
}
