package certs_test

import (
	"log"

	"google.golang.org/grpc"

	"github.com/meshhealth/meshhealth/certs"
	"github.com/meshhealth/meshhealth/client"
)

// A service serves and registers with one certificate, which can be replaced while it runs.
func Example() {
	source, err := certs.Open(certs.Files{
		Cert: "service-payments.pem", Key: "service-payments-key.pem", Roots: "ca.pem",
	}, certs.Options{})
	if err != nil {
		log.Print(err)
		return
	}
	defer source.Close()
	g := grpc.NewServer(grpc.Creds(source.Server()))
	defer g.Stop()
	mesh, err := client.New(client.Config{Coordinator: "health.example.com:7070", Credentials: source.Client(certs.Dial{})})
	if err != nil {
		log.Print(err)
		return
	}
	defer mesh.Close()
}
