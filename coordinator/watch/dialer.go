package watch

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// dialTimeout bounds one attempt, from the name's look-up to the handshakes, as
// long as we are well.
const dialTimeout = 5 * time.Second

// Dialer dials over TCP, never through a proxy. Every address a name resolves
// to is checked when it is dialled, so that a name cannot change its mind in
// between.
func Dialer(targets *wire.Targets) func(ctx context.Context, address string) (net.Conn, error) {
	d := &net.Dialer{
		// Dead peers are found by silence, not by TCP.
		KeepAliveConfig: net.KeepAliveConfig{Enable: false},
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return targets.Check(to)
		},
	}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	}
}
