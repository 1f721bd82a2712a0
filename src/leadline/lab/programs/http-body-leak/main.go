// A price feed that asks its upstream with http.Get and looks at the status only.
//
// The response body is neither read nor closed, so each connection stays in use for ever and the next request dials anew.
package main

import (
	"errors"
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(refreshPrices("http://" + r.Peer + "/prices")) })
}

// refreshPrices asks for the prices of the day.
func refreshPrices(url string) error {
	response, err := http.Get(url) // want: caller
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New("no prices today")
	}
	return nil
}
