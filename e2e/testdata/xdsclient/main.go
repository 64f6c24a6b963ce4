// Command xdsclient calls a service through xDS, as docs/envoy.md shows.
package main

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/xds"
	_ "google.golang.org/grpc/xds" // the resolver of xds:///
)

func dial() (*grpc.ClientConn, error) {
	// Services without tls_names are called with FallbackCreds.
	creds, err := xds.NewClientCredentials(xds.ClientOptions{FallbackCreds: insecure.NewCredentials()})
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("xds:///payments", grpc.WithTransportCredentials(creds))
}

func main() {
	conn, err := dial()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	conn.Connect()
}
