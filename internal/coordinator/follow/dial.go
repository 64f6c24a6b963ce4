package follow

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"

	"github.com/meshhealth/meshhealth/internal/wire"
)

// linkKey identifies a connection that several instances can share.
type linkKey struct {
	address, serverName string
	credentials         string // name of the service, if this service has its own credentials; else empty
	// registrant is the identity that has registered the instances. It is empty if it does not matter: over
	// plaintext to an IP address. configured means that the configuration names the instances.
	registrant string
	configured bool
	conn       string // empty for the first connection to an address; for each further connection a different name
}

// dialer makes gRPC connections. All links of a Manager use the same dialer.
type dialer struct {
	policy   DialPolicy
	network  func(ctx context.Context, key *linkKey) (net.Conn, error)
	options  []grpc.DialOption
	identity func(credentials.AuthInfo) string // Config.Identity
	patience func(time.Duration) time.Duration // Config.patience, which multiplies a timeout by the health score of the coordinator plus 1
	slots    dialSlots
	// longest is the longest wait for a dial slot (a permit to dial), and the longest wait
	// between two attempts to connect one link.
	longest time.Duration
}

// dialled is a connection that was made.
type dialled struct {
	conn *grpc.ClientConn
	gone <-chan struct{} // closed when conn has broken
	peer netip.Addr      // IP address to which conn is connected; not valid if it is unknown
	// identity is the identity in the certificate of the target, as in the access policy. It is empty if there
	// is none.
	identity string
}

// dial makes one connection. It makes a new grpc.ClientConn for each attempt, so that the backoff of
// gRPC has no effect and only the breaker decides when to dial. lastErr is the error of the last
// attempt at the same link, or nil.
func (d *dialer) dial(ctx context.Context, key linkKey, lastErr error) (dialled, error) {
	ctx, cancel := context.WithTimeout(ctx, d.patience(dialTimeout))
	defer cancel()
	c := d.policy.credentials(key.credentials, key.registrant)
	seen := dialRecorder{plain: c.Info().SecurityProtocol == "insecure"}
	replies := &replyRecorder{}
	conn, err := grpc.NewClient("passthrough:///"+key.address, d.dialOptions(key, c, &seen, replies)...)
	if err != nil {
		return dialled{}, err
	}
	replies.conn = conn
	if err := waitUntilReady(ctx, conn); err != nil {
		_ = conn.Close()
		if d.plaintextToTLS(ctx, key, &seen) {
			return dialled{}, errSpeaksTLS
		}
		return dialled{}, keepMismatch(&seen, seen.errorOr(err), lastErr)
	}
	made := seen.lastConn()
	return dialled{conn: conn, gone: made.closed, peer: peerOf(made), identity: d.identity(seen.lastInfo())}, nil
}

// peerOf returns the IP address of the other end of a connection. The result is not valid if the
// connection is not over IP.
func peerOf(c net.Conn) netip.Addr {
	peer, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return peer.Addr().Unmap()
}

// keepMismatch returns the error to report for an attempt to connect that failed with err.
// lastErr is the error of the attempt before. The result is lastErr if lastErr showed a wrong
// configuration, and the new connection broke after the target had accepted it. In this case
// the target may have sent the same answer as before, but a TCP reset discarded it. Otherwise
// the result is err.
func keepMismatch(seen *dialRecorder, err, lastErr error) error {
	found := classifyDial(err)
	broken := seen.lastConn() != nil && found.kind == pathFault && !found.waited
	if broken && lastErr != nil && classifyDial(lastErr).kind == misconfigured {
		return lastErr
	}
	return err
}

func (d *dialer) dialOptions(key linkKey, c credentials.TransportCredentials, seen *dialRecorder, replies *replyRecorder) []grpc.DialOption {
	options := append(wire.DialOptions(wire.MaxHealthReply),
		grpc.WithStatsHandler(replies),
		grpc.WithTransportCredentials(recordingCredentials{c, seen}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := d.network(ctx, &key)
			return seen.dialled(conn, err)
		}))
	options = append(options, d.options...)
	if key.serverName != "" {
		options = append(options, grpc.WithAuthority(key.serverName))
	}
	return options
}

// waitUntilReady waits until conn is ready or has failed.
func waitUntilReady(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		switch s := conn.GetState(); s {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return failureOf(ctx, conn)
		default:
			if !conn.WaitForStateChange(ctx, s) {
				return ctx.Err()
			}
		}
	}
}

// failureOf returns the error of gRPC for a failure that neither the network nor the
// handshake reported, such as an answer that is not HTTP/2. A call on a failed ClientConn
// returns this error at once.
func failureOf(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{}, "/meshhealth.v1.HealthService/Check")
	if err == nil {
		err = errors.Join(errors.New("the connection failed"), stream.CloseSend())
	}
	return err
}

// helloTimeout is how long a TLS server may take to answer a ClientHello. This is the value
// while the health score of the coordinator is 0, which is the best score.
const helloTimeout = time.Second

// plaintextToTLS reports whether an attempt to connect without TLS failed because the target
// uses TLS. Such a target answers with a TLS record. A TLS server in Go closes the connection
// instead, without an answer. In this case plaintextToTLS dials the target again and tries TLS.
func (d *dialer) plaintextToTLS(ctx context.Context, key linkKey, seen *dialRecorder) bool {
	c := seen.lastConn()
	if c == nil || !c.plain {
		return false
	}
	return c.readTLS() || c.readNothing() && ctx.Err() == nil && d.answersTLS(ctx, key)
}

// answersTLS opens a new connection, sends a ClientHello, and reports whether the target
// answers in TLS. The certificate is not verified, because nothing else is sent.
func (d *dialer) answersTLS(ctx context.Context, key linkKey) bool {
	ctx, cancel := context.WithTimeout(ctx, d.patience(helloTimeout))
	defer cancel()
	conn, err := d.network(ctx, &key)
	if err != nil {
		return false
	}
	c := newTrackedConn(conn, false)
	defer c.Close()
	name := key.serverName
	if name == "" {
		name, _, _ = net.SplitHostPort(key.address)
	}
	hello := &tls.Config{ServerName: name, NextProtos: []string{"h2"}, InsecureSkipVerify: true} // #nosec G402 -- no data is sent
	_ = tls.Client(c, hello).HandshakeContext(ctx)
	return c.readTLS()
}
