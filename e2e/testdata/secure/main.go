// Command secure is a service with mutual TLS: its argument is the name of the service. It takes the certificate that
// `meshhealth cert init --service NAME` has made in the present folder. docs/security.md shows it.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		log.Fatal("usage: secure NAME")
	}
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string) error {
	// One source has the certificate for both directions. It reads the files again when they change.
	source, err := certs.Open(certs.Files{
		Cert:  "meshhealth-certs/service-" + name + ".pem",
		Key:   "meshhealth-certs/service-" + name + "-key.pem",
		Roots: "meshhealth-certs/ca.pem",
	}, certs.Options{})
	if err != nil {
		return err
	}
	defer source.Close()
	srv, err := server.New(server.Config{Service: name})
	if err != nil {
		return err
	}
	// Your own server. A client without a certificate can connect, so your methods must check who calls.
	g := grpc.NewServer(grpc.Creds(source.Server()))
	srv.Register(g)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mesh, err := client.New(client.Config{Coordinator: "localhost:7070", Credentials: source.Client(certs.Dial{})})
	if err != nil {
		return err
	}
	mesh.RegisterAsync(client.Instance{Service: name, Address: listener.Addr().String(), Feed: srv.Feed()})
	go srv.Run(ctx)
	context.AfterFunc(ctx, func() { mesh.Close(); g.Stop() })
	return g.Serve(listener)
}
