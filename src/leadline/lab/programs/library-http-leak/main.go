// An application that asks for pages through a third-party library and never closes one of them: two layers of other
// people's code and another goroutine lie between its line and the socket.
package main

import (
	"errors"

	"kit.example/kit/fetch"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(check("http://" + r.Peer + "/page")) })
}

func check(url string) error {
	page, err := fetch.Get(url) // want: caller
	if err != nil {
		return err
	}
	if page.Status() != 200 {
		return errors.New("page is down")
	}
	return nil
}
