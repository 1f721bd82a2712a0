// An application that opens a session of a third-party library for each lookup and never closes it. The library dials; the
// line to fix is the application's.
package main

import (
	"kit.example/kit/fetch"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

var sessions []*fetch.Session

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(lookUp(r.Peer, "berlin")) })
}

func lookUp(addr, city string) error {
	session, err := fetch.Connect(addr) // want: acquired
	if err != nil {
		return err
	}
	sessions = append(sessions, session)
	_, err = session.Ask(city)
	return err
}
