// A logger that begins a new file every 300 ms, keeps the last three open for late writers, and closes the one before.
package main

import (
	"fmt"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 3, Rate: 1 / 0.3, Run: run}) }

func run(r *rig.Rig) {
	dir := r.Dir()
	r.Ready("")
	var open []*os.File
	rig.Pace(r.Rate, func(i int) bool {
		file, err := rotate(fmt.Sprintf("%s/service.log.%d", dir, i))
		r.Must(err)
		open = append(open, file)
		if len(open) > r.N {
			open[0].Close()
			os.Remove(open[0].Name())
			open = open[1:]
		}
		r.Worked()
		return true
	})
}

func rotate(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(file, "log begins")
	return file, nil
}
