// A bank with a pool of five database connections. Each transfer begins a transaction and then waits for an approval, which
// is not given: after five the pool is empty, and each further transfer waits for a connection for ever.
package main

import (
	"database/sql"

	"kit.example/kit/fakedb"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 28, Rate: 4, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	db := sql.OpenDB(fakedb.Connector{Addr: r.Peer})
	db.SetMaxOpenConns(5)
	approved := make(chan int)
	r.Ready("")
	r.Repeat(func(int) { go transfer(r, db, approved) })
}

func transfer(r *rig.Rig, db *sql.DB, approved chan int) {
	tx, err := db.Begin() // want: acquired, parked
	r.Must(err)
	defer tx.Rollback()
	<-approved // want: parked
	r.Must(tx.Commit())
}
