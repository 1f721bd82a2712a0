// A downloader that reads eight large bodies at a time, as slowly as the server sends them, and closes each.
package main

import (
	"net/http"
	"time"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 8, Rate: 20, Run: run, Upstream: upstream}) }

func upstream(r *rig.Rig) {
	block := []byte(rig.Body())
	rig.ServeHTTP(r, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		rig.Pace(r.Rate, func(i int) bool { // some five seconds
			_, err := w.Write(block)
			w.(http.Flusher).Flush()
			return err == nil && i < 100
		})
	}))
}

func run(r *rig.Rig) {
	r.Ready("")
	for i := 0; i < r.N; i++ {
		go func() {
			for {
				r.Must(download("http://" + r.Peer + "/image"))
				r.Worked()
			}
		}()
		time.Sleep(300 * time.Millisecond)
	}
}

func download(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	rig.Drain(response.Body)
	return nil
}
