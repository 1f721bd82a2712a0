// A service that runs a helper, reads the first line of its output and never waits for it: the pipe stays open, and the
// helper stays a zombie.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Child: help}) }

func help(r *rig.Rig) {
	fmt.Println("ok")
	os.Exit(0)
}

var helpers []*exec.Cmd

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(askHelper()) })
}

func askHelper() error {
	helper := exec.Command(rig.Self(), "-role", "child")
	output, err := helper.StdoutPipe() // want: acquired
	if err != nil {
		return err
	}
	helpers = append(helpers, helper)
	if err := helper.Start(); err != nil {
		return err
	}
	_, err = bufio.NewReader(output).ReadString('\n')
	return err
}
