// A service with a pool of twenty database connections that lie idle: there is a query every other second.
package main

import (
	"database/sql"

	"kit.example/kit/fakedb"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 20, Rate: 0.5, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	db := sql.OpenDB(fakedb.Connector{Addr: r.Peer})
	db.SetMaxOpenConns(r.N)
	db.SetMaxIdleConns(r.N)
	warmUp(r, db)
	r.Ready("")
	rig.Pace(r.Rate, func(int) bool {
		r.Must(count(db))
		r.Worked()
		return true
	})
}

// warmUp holds N connections at the same time, so that the pool has dialed them all.
func warmUp(r *rig.Rig, db *sql.DB) {
	rows := make([]*sql.Rows, r.N)
	for i := range rows {
		one, err := db.Query("select id from orders")
		r.Must(err)
		rows[i] = one
	}
	for _, one := range rows {
		r.Must(one.Close())
	}
}

func count(db *sql.DB) error {
	rows, err := db.Query("select id from orders")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}
