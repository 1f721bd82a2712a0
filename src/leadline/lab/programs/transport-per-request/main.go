// A webhook sender that makes a client with a transport of its own for each call. Bodies are read and closed, but each
// transport keeps its idle connection, for ever.
package main

import (
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(notify("http://" + r.Peer + "/hook")) })
}

func notify(url string) error {
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Get(url) // want: caller
	if err != nil {
		return err
	}
	defer response.Body.Close()
	rig.Drain(response.Body)
	return nil
}
