// A gRPC server: twenty clients hold a stream open each (Watch of the health service) and make calls now and then. -leak stream
// has a call whose goroutine never returns.
package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"trials/internal/trial"
)

func main() { trial.Main("stream", service, clients) }

type stuck struct{ grpc_health_v1.HealthServer }

func (s stuck) Check(ctx context.Context, request *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if request.GetService() == "stuck" {
		<-make(chan int)
	}
	return s.HealthServer.Check(ctx, request)
}

func service(t *trial.Trial) {
	listener := t.Listen()
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, stuck{health.NewServer()})
	go server.Serve(listener)
	t.Ready(listener.Addr().String())
}

func clients(t *trial.Trial) {
	for i := 0; i < 20; i++ {
		conn, err := grpc.NewClient(t.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		trial.Must(err)
		client := grpc_health_v1.NewHealthClient(conn)
		stream, err := client.Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		trial.Must(err)
		go func() {
			for {
				_, err := stream.Recv()
				trial.Must(err)
			}
		}()
		go trial.Every(500*time.Millisecond, func() {
			_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
			trial.Must(err)
		})
		if i == 0 {
			go t.Plant(func(int) {
				go client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: "stuck"})
			})
		}
	}
}
