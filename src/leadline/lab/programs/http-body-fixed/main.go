// The price feed of http-body-leak with the missing line: the response body is closed on every path.
package main

import (
	"errors"
	"net/http"

	"lab/internal/rig"
)

func main() {
	rig.Main(rig.Service{Rate: 2, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(refreshPrices("http://" + r.Peer + "/prices"))
		r.Worked()
		return true
	})
}

// refreshPrices asks for the prices of the day.
func refreshPrices(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New("no prices today")
	}
	return nil
}
