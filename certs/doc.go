// Package certs reads certificates from files, uses new files without a restart, and closes
// connections whose certificates are no longer valid.
//
// A [Source] reads a certificate, its key and roots. It checks them, and then uses all of them at
// once. Files with a fault change nothing: the previous certificate stays in use, and the fault is
// logged once. Give one Source to every listener and every client that uses the same files:
//
//	source, err := certs.Open(certs.Files{Cert: "own.pem", Key: "own-key.pem", Roots: "ca.pem"}, certs.Options{})
//	...
//	defer source.Close()
//	server := grpc.NewServer(grpc.Creds(source.Server()))
//	mesh, err := client.New(client.Config{Coordinator: "health:7070", Credentials: source.Client(certs.Dial{})})
//
// When a root is removed, the Source closes every connection whose peer it no longer trusts. It also
// closes a connection when the certificate of the peer expires. A failed handshake is a [Failure],
// which says what is wrong and what to do.
//
// # Concurrency
//
// A Source and its credentials are safe for concurrent use. Open starts one goroutine, and Close
// waits for its end.
package certs
