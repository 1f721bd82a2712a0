// A database pool of twenty connections that live three seconds each; thirty users query it without a pause to speak of.
package main

import (
	"database/sql"
	"time"

	"kit.example/kit/fakedb"

	"lab/internal/rig"
)

func main() { rig.Main(rig.Service{N: 20, Rate: 10, Run: run, Upstream: rig.EchoUpstream}) }

func run(r *rig.Rig) {
	db := sql.OpenDB(fakedb.Connector{Addr: r.Peer})
	db.SetMaxOpenConns(r.N)
	db.SetMaxIdleConns(r.N)
	db.SetConnMaxLifetime(3 * time.Second)
	r.Ready("")
	for i := 0; i < 30; i++ {
		go rig.Pace(r.Rate, func(int) bool {
			r.Must(sum(db))
			r.Worked()
			return true
		})
	}
}

func sum(db *sql.DB) error {
	rows, err := db.Query("select id from orders")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return rows.Err()
}
