package check

import (
	"context"
	"fmt"
	"net"

	"github.com/meshhealth/meshhealth/server"
)

// TCP returns a check that opens a connection to HOST:PORT and closes it. If the service has a client
// for the target, prefer a check of this client.
func TCP(address string) Func {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return invalid("address", "is %q; allowed: HOST:PORT", address)
	}
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// DNS returns a check that looks up the addresses of a host. The health services show the number of
// addresses with the check. A nil resolver means net.DefaultResolver.
func DNS(resolver *net.Resolver, host string) Func {
	if host == "" {
		return invalid("host", "is empty")
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return func(ctx context.Context) error {
		addresses, err := resolver.LookupHost(ctx, host)
		if err != nil {
			return err
		}
		server.Observe(ctx, float64(len(addresses)), "addresses")
		if len(addresses) == 0 {
			return fmt.Errorf("%s has no address", host)
		}
		return nil
	}
}
