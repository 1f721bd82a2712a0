// A reader whose old helper closes the bare descriptor number. The number is given to the next file that anybody opens; when
// the reader then closes its own file, it closes somebody else's, whose owner gets "bad file descriptor".
package main

import (
	"os"
	"syscall"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run}) }

func run(r *rig.Rig) {
	config, journal := r.File("config", "colour=blue\n"), r.File("journal", "")
	appends, results := make(chan string), make(chan bool)
	go keepJournal(r, appends, results)
	r.Ready("")
	r.Repeat(func(int) {
		file, err := os.Open(config)
		r.Must(err)
		r.Must(syscall.Close(int(file.Fd()))) // the old helper
		appends <- journal
		<-results // the journal is open now, under the same number
		readConfig(file)
		appends <- "entry\n"
		if <-results {
			return // somebody else's file was closed
		}
		r.Fail(os.ErrInvalid)
	})
}

func readConfig(file *os.File) {
	file.Close() // want: closed
}

// keepJournal opens the file it is told, writes the text it is told, and reports whether its file was closed under it.
func keepJournal(r *rig.Rig, appends chan string, results chan bool) {
	for path := range appends {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0) // want: victim
		r.Must(err)
		results <- true
		_, err = file.WriteString(<-appends)
		file.Close() // want: failed
		results <- err != nil
	}
}
