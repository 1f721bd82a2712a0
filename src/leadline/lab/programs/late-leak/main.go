// A service that is healthy under growing traffic until a new feature is switched on, some seconds later: from then on it
// opens an audit file per order and closes none.
package main

import (
	"flag"
	"net/http"
	"os"
	"time"

	"lab/internal/rig"
)

var after = flag.Duration("after", 5*time.Second, "healthy time before the leak begins")

func main() {
	rig.Main(rig.Service{N: 23, Rate: 2.5, Run: run, Upstream: func(r *rig.Rig) { rig.HTTPUpstream(r, rig.Body()) }})
}

var audits []*os.File

func run(r *rig.Rig) {
	path := r.File("audit.log", "")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	r.Ready("")
	rig.Pace(4, func(i int) bool { // traffic ramps up: sixteen users in four seconds
		go rig.Pace(10, func(int) bool {
			r.Must(rig.GetAndClose(client, "http://"+r.Peer+"/"))
			return true
		})
		return i < 15
	})
	time.Sleep(*after - 4*time.Second)
	r.Repeat(func(int) { r.Must(audit(path)) })
}

func audit(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) // want: acquired
	if err != nil {
		return err
	}
	audits = append(audits, file)
	_, err = file.WriteString("order\n")
	return err
}
