// A client of a real Redis server, which the program starts beside itself: a pool of ten connections, twenty users, and a
// subscription. -leak client makes a client per request, notes it in a map and closes none; -leak subscription forgets
// subscriptions; -leak dropped makes a client per request that nothing refers to afterwards, until the garbage collector comes.
package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/redis/go-redis/v9"

	"trials/internal/trial"
)

func main() { trial.Main("client subscription dropped", service, nil) }

var clients = map[int]*redis.Client{}

func service(t *trial.Trial) {
	addr := trial.FreePort()
	_, port, _ := net.SplitHostPort(addr)
	trial.Beside(addr, exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"))
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 10})
	for i := 0; i < 20; i++ {
		go trial.Every(100*time.Millisecond, func() {
			trial.Must(client.Incr(ctx, fmt.Sprint("counter-", i)).Err())
		})
	}
	go follow(ctx, client)
	t.Ready("")
	t.Plant(func(i int) {
		switch t.Leak {
		case "client":
			clients[i] = again(ctx, addr)
		case "dropped":
			again(ctx, addr)
		case "subscription":
			_, err := client.Subscribe(ctx, "news").Receive(ctx)
			trial.Must(err)
		}
	})
}

func again(ctx context.Context, addr string) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: addr})
	trial.Must(client.Ping(ctx).Err())
	return client
}

func follow(ctx context.Context, client *redis.Client) {
	for range client.Subscribe(ctx, "news").Channel() {
	}
}
