// A search server that opens its 150 index segments one by one in its first six seconds and keeps them as long as it lives.
package main

import (
	"fmt"
	"os"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 150, Rate: 25, Run: run}) }

var segments []*os.File

func run(r *rig.Rig) {
	paths := make([]string, r.N)
	for i := range paths {
		paths[i] = r.File(fmt.Sprintf("segment-%d", i), "words\n")
	}
	r.Ready("")
	r.Repeat(func(i int) { r.Must(openSegment(paths[i])) })
	rig.Pace(50, func(i int) bool {
		var text [6]byte
		_, err := segments[i%r.N].ReadAt(text[:], 0)
		r.Must(err)
		r.Worked()
		return true
	})
}

func openSegment(path string) error {
	segment, err := os.Open(path)
	if err != nil {
		return err
	}
	segments = append(segments, segment)
	return nil
}
