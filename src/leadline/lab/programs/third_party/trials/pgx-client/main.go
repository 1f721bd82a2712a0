// A client of a real PostgreSQL server, which the program starts beside itself in a temporary folder: a pgx pool and a
// database/sql pool of five connections each, with ten users each. -leak rows forgets rows of the pgx pool, -leak sql rows of
// database/sql: after five, all users wait for ever. -leak conn connects per query and closes none.
package main

import (
	"context"
	"database/sql"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"trials/internal/trial"
)

func main() { trial.Main("rows sql conn", service, nil) }

var connections []*pgx.Conn

func service(t *trial.Trial) {
	url := "postgres://lab@" + postgres() + "/postgres?sslmode=disable"
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, url+"&pool_max_conns=5")
	trial.Must(err)
	db, err := sql.Open("pgx", url)
	trial.Must(err)
	db.SetMaxOpenConns(5)
	db.SetMaxIdleConns(5)
	for i := 0; i < 10; i++ {
		go trial.Every(200*time.Millisecond, func() { count(ctx, pool) })
		go trial.Every(200*time.Millisecond, func() { countSQL(db) })
	}
	t.Ready("")
	t.Plant(func(int) {
		switch t.Leak {
		case "rows":
			go forgetRows(ctx, pool)
		case "sql":
			go forgetSQLRows(db)
		case "conn":
			connectAgain(ctx, url)
		}
	})
}

func count(ctx context.Context, pool *pgxpool.Pool) {
	var number int
	trial.Must(pool.QueryRow(ctx, "select count(*) from pg_class").Scan(&number))
}

func countSQL(db *sql.DB) {
	var number int
	trial.Must(db.QueryRow("select count(*) from pg_class").Scan(&number))
}

func forgetRows(ctx context.Context, pool *pgxpool.Pool) {
	rows, err := pool.Query(ctx, "select oid from pg_class")
	trial.Must(err)
	rows.Next()
}

func forgetSQLRows(db *sql.DB) {
	rows, err := db.Query("select oid from pg_class")
	trial.Must(err)
	rows.Next()
}

func connectAgain(ctx context.Context, url string) {
	conn, err := pgx.Connect(ctx, url)
	trial.Must(err)
	connections = append(connections, conn)
}

// postgres starts a server with a new cluster and returns its address. It refuses to be root, so it is the user postgres then.
func postgres() string {
	path, err := exec.LookPath("postgres")
	trial.Must(err)
	path, err = filepath.EvalSymlinks(path)
	trial.Must(err)
	dir, err := os.MkdirTemp("", "leadline-trial-")
	trial.Must(err)
	trial.AtEnd(func() { os.RemoveAll(dir) })
	var who *syscall.SysProcAttr
	if os.Getuid() == 0 {
		other, err := user.Lookup("postgres")
		trial.Must(err)
		uid, _ := strconv.Atoi(other.Uid)
		gid, _ := strconv.Atoi(other.Gid)
		trial.Must(os.Chown(dir, uid, gid))
		who = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	addr := trial.FreePort()
	_, port, _ := net.SplitHostPort(addr)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(filepath.Dir(path), "initdb"), "-D", data, "-A", "trust", "-U", "lab", "--no-sync")
	initdb.Dir, initdb.SysProcAttr, initdb.Stderr = dir, who, os.Stderr
	trial.Must(initdb.Run())
	server := exec.Command(path, "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=500")
	server.Dir, server.SysProcAttr = dir, who
	trial.Beside(addr, server)
	time.Sleep(500 * time.Millisecond) // it listens a moment before it answers
	return addr
}
