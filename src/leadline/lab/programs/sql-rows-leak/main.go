// A report that looks at the first row of each query and forgets to close the rows: the pool has no limit, so it dials a new
// connection for each query.
package main

import (
	"database/sql"

	"kit.example/kit/fakedb"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 23, Rate: 2, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	db := sql.OpenDB(fakedb.Connector{Addr: r.Peer})
	r.Ready("")
	r.Repeat(func(int) { r.Must(firstID(db)) })
}

func firstID(db *sql.DB) error {
	rows, err := db.Query("select id from orders") // want: acquired
	if err != nil {
		return err
	}
	var id int64
	rows.Next()
	return rows.Scan(&id)
}
