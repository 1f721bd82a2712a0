// A whole etcd server in one process: the largest program of the lab. Clients in the second process put, get and watch. -leak
// client makes an etcd client per request inside the server's own process and closes none.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"trials/internal/trial"
)

func main() { trial.Main("client", service, clients) }

func service(t *trial.Trial) {
	dir, err := os.MkdirTemp("", "leadline-trial-")
	trial.Must(err)
	trial.AtEnd(func() { os.RemoveAll(dir) })
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.LogOutputs = dir, "error", []string{"stderr"}
	addr := trial.FreePort()
	ours, peers := url.URL{Scheme: "http", Host: addr}, url.URL{Scheme: "http", Host: trial.FreePort()}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{ours}, []url.URL{ours}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	trial.Must(err)
	trial.AtEnd(server.Close)
	<-server.Server.ReadyNotify()
	t.Ready(addr)
	t.Plant(func(int) { status(addr) })
}

func connect(addr string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"http://" + addr}, DialTimeout: 5 * time.Second})
	trial.Must(err)
	return client
}

func status(addr string) {
	_, err := connect(addr).Get(context.Background(), "key-0")
	trial.Must(err)
}

func clients(t *trial.Trial) {
	ctx := context.Background()
	for i := 0; i < 10; i++ {
		client := connect(t.Addr)
		key := fmt.Sprint("key-", i)
		go func() {
			for range client.Watch(ctx, key) {
			}
		}()
		go trial.Every(200*time.Millisecond, func() {
			_, err := client.Put(ctx, key, time.Now().String())
			trial.Must(err)
			_, err = client.Get(ctx, key)
			trial.Must(err)
		})
	}
}
