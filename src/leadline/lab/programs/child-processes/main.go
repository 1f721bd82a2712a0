// A service that runs a helper process eight times a second and reads its output to the end.
package main

import (
	"fmt"
	"os"
	"os/exec"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 8, Run: run, Child: help}) }

func help(r *rig.Rig) {
	fmt.Println("ok")
	os.Exit(0)
}

func run(r *rig.Rig) {
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		_, err := exec.Command(rig.Self(), "-role", "child").Output()
		r.Must(err)
		r.Worked()
		return true
	})
}
