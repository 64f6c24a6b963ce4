package resolver_test

import (
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/meshhealth/meshhealth/client"
	"github.com/meshhealth/meshhealth/client/resolver"
)

// A program calls a service by its name. All channels of the program share the Client and the Resolver.
func Example() {
	mesh, err := client.New(client.Config{Coordinator: "127.0.0.1:7070"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = mesh.Close() }()
	names, err := resolver.New(mesh, resolver.Config{Zone: "eu-1a", Region: "eu-1"})
	if err != nil {
		log.Fatal(err)
	}

	conn, err := grpc.NewClient("meshhealth:///payments",
		grpc.WithResolvers(names),
		grpc.WithDefaultServiceConfig(resolver.ServiceConfig),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// Use conn with generated stubs.
}
