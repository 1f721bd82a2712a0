// A pool of five database connections for forty users: most wait for a connection at any moment, and each gets one after a
// fraction of a second.
package main

import (
	"database/sql"
	"time"

	"kit.example/kit/fakedb"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 5, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	db := sql.OpenDB(fakedb.Connector{Addr: r.Peer})
	db.SetMaxOpenConns(r.N)
	db.SetMaxIdleConns(r.N)
	r.Ready("")
	for i := 0; i < 40; i++ {
		go func() {
			for {
				r.Must(book(db))
				r.Worked()
			}
		}()
	}
}

func book(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	time.Sleep(20 * time.Millisecond)
	return tx.Commit()
}
