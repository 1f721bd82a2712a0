// A gRPC client with one connection, ten streams that it reads (Watch of the health service), and calls now and then. -leak
// client makes a client per call and closes none; -leak stream begins streams that nobody reads or ends.
package main

import (
	"context"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"trials/internal/trial"
)

func main() { trial.Main("client stream", service, server) }

func service(t *trial.Trial) {
	addr := trial.FreePort()
	t.Ready(addr)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			break
		} else if time.Now().After(deadline) {
			trial.Must(err)
		}
	}
	client := connect(addr)
	for i := 0; i < 10; i++ {
		go follow(client)
	}
	go trial.Every(300*time.Millisecond, func() { check(client) })
	t.Plant(func(int) {
		if t.Leak == "client" {
			check(connect(addr))
			return
		}
		_, err := client.Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		trial.Must(err)
	})
}

func connect(addr string) grpc_health_v1.HealthClient {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	trial.Must(err)
	return grpc_health_v1.NewHealthClient(conn)
}

func check(client grpc_health_v1.HealthClient) {
	_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	trial.Must(err)
}

func follow(client grpc_health_v1.HealthClient) {
	stream, err := client.Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	trial.Must(err)
	for {
		_, err := stream.Recv()
		trial.Must(err)
	}
}

func server(t *trial.Trial) {
	listener, err := net.Listen("tcp", t.Addr)
	trial.Must(err)
	server := grpc.NewServer(grpc.MaxConcurrentStreams(100_000))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	trial.Must(server.Serve(listener))
	os.Exit(0)
}
