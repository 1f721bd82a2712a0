// An upload service that writes each upload into a temporary file, reads it back, closes and removes it.
package main

import (
	"io"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{Rate: 20, Run: run}) }

func run(r *rig.Rig) {
	dir := r.Dir()
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(upload(dir))
		r.Worked()
		return true
	})
}

func upload(dir string) error {
	file, err := os.CreateTemp(dir, "upload-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := io.WriteString(file, rig.Body()); err != nil {
		return err
	}
	_, err = file.Seek(0, io.SeekStart)
	rig.Drain(file)
	return err
}
