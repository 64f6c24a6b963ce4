package check

import (
	"context"
	"fmt"
	"net"

	"github.com/meshhealth/meshhealth/server"
)

// TCP connects to HOST:PORT and hangs up. It opens a connection each time, so
// prefer the check of a client you have.
func TCP(address string) Func {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return wrong("address", "is %q; allowed: HOST:PORT", address)
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

// DNS looks up a host and shows how many addresses it has; nil means
// net.DefaultResolver.
func DNS(resolver *net.Resolver, host string) Func {
	if host == "" {
		return wrong("host", "is empty")
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
