// An importer that opens a file, checks its header and returns early when it is wrong, which it is for one file in ten: the
// early return skips the Close.
package main

import (
	"bufio"
	"errors"
	"os"
	"runtime/debug"
	"strings"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 20, Run: run}) }

var errHeader = errors.New("bad header")

func run(r *rig.Rig) {
	debug.SetGCPercent(-1) // a collection would close the files that nobody refers to
	good, bad := r.File("good.csv", "id,name\n1,a\n"), r.File("bad.csv", "<html>\n")
	r.Ready("")
	leaked := 0
	rig.Pace(r.Rate, func(i int) bool {
		path := good
		if i%10 == 9 && (r.N == 0 || leaked < r.N) {
			path = bad
		}
		if err := importFile(path); err == errHeader {
			leaked++
			r.Did()
		} else {
			r.Must(err)
		}
		return true
	})
}

func importFile(path string) error {
	file, err := os.Open(path) // want: acquired
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(file)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "id,") {
		return errHeader
	}
	for lines.Scan() {
		_ = lines.Text()
	}
	return file.Close()
}
