// A converter that streams through a pipe per job and closes the writing end only.
package main

import (
	"io"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

var streams []*os.File

func run(r *rig.Rig) {
	r.Ready("")
	r.Repeat(func(int) { r.Must(convert("picture")) })
}

func convert(text string) error {
	reader, writer, err := os.Pipe() // want: acquired
	if err != nil {
		return err
	}
	streams = append(streams, reader)
	io.WriteString(writer, text)
	writer.Close()
	_, err = io.ReadAll(reader)
	return err
}
