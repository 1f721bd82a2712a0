// A report service with a pool of five database connections. Each report looks at the first row and forgets to close the
// rows: after five the pool is empty, and each further report waits for a connection for ever.
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
	r.Ready("")
	r.Repeat(func(int) { go report(r, db) })
}

func report(r *rig.Rig, db *sql.DB) {
	rows, err := db.Query("select id from orders") // want: acquired, parked
	r.Must(err)
	var id int64
	rows.Next()
	r.Must(rows.Scan(&id))
}
