package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/fields"
	"github.com/meshhealth/meshhealth/internal/logs"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Config has the settings of a Client: the address of the coordinator and how to connect to it.
type Config struct {
	// Coordinator is the address of the coordinator: HOST:PORT, or any gRPC target.
	// Required.
	Coordinator string
	// Credentials secure the connection. nil means plaintext. Plaintext is an error unless
	// Coordinator is on this machine or Insecure is true.
	Credentials credentials.TransportCredentials
	// TokenFile is the path of a file with a bearer token, which is sent with each call, see TokenFile. Empty
	// means no token.
	TokenFile string
	// Insecure allows plaintext to every address. Anyone on the path can then read and change
	// the messages.
	Insecure bool
	// Logger receives a record for each change of a Registration's state. The end of a
	// Registration has the level ERROR, unless Close or the end of a context has caused it.
	//
	// One goroutine writes the records, and no other goroutine waits for the Logger. The queue
	// of this goroutine has room for 4 MiB of records. Further records are dropped, and their
	// number is logged. The method Enabled of the Logger's handler must not block.
	//
	// nil means that each record at WARN or above goes to slog.Default().
	// slog.New(slog.DiscardHandler) means no log.
	Logger *slog.Logger
	// DialOptions are applied after the dial options of this library and override them. They
	// are for needs that this Config does not cover, such as a dialer.
	DialOptions []grpc.DialOption
}

// validate returns an error with one line for each field that is not valid.
func (c *Config) validate() error {
	var errs fields.Errors
	if c.Coordinator == "" {
		errs.Addf("Coordinator", "is empty; allowed: HOST:PORT or a gRPC target")
	}
	switch {
	case c.Credentials != nil && c.Insecure:
		errs.Addf("Insecure", "is set beside Credentials; allowed: one of them")
	case c.Credentials == nil && !c.Insecure && c.Coordinator != "" && !isLocal(c.Coordinator):
		errs.Addf("Credentials", "are nil, and %q is not on loopback; set Credentials, or Insecure to use plaintext", c.Coordinator)
	}
	if c.TokenFile != "" {
		_, err := TokenFile(c.TokenFile)
		errs.Add("TokenFile", err)
		if c.Credentials == nil && !isUnix(c.Coordinator) {
			errs.Addf("TokenFile", "is set, and the connection is in plaintext; allowed: with Credentials, or over a unix socket")
		}
	}
	return errs.Join()
}

// isUnix reports whether a gRPC target is a unix socket.
func isUnix(target string) bool {
	return strings.HasPrefix(target, "unix:") || strings.HasPrefix(target, "unix-abstract:")
}

// isLocal reports whether it is certain that a gRPC target is on this machine.
func isLocal(target string) bool {
	if isUnix(target) {
		return true
	}
	for _, prefix := range []string{"dns:///", "dns:", "passthrough:///", "passthrough:"} {
		if rest, ok := strings.CutPrefix(target, prefix); ok {
			target = rest
			break
		}
	}
	return wire.IsLoopback(target)
}

// Client is a connection to a coordinator. New returns a Client. Its methods may be called
// concurrently.
type Client struct {
	log         *logs.Logger
	conn        *grpc.ClientConn
	registry    pb.RegistryServiceClient
	health      pb.HealthServiceClient
	connections *connections
	budget      budget
	// incarnation differs between this process and other processes with the same instance name.
	// key is the process key for registrations without a Feed.
	incarnation string
	key         health.Key

	ctx context.Context // context of all Watches and Registrations; Close ends it
	end context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// New returns a Client. It does not wait for the coordinator: the first call opens the
// connection. The error has one line for each field of cfg that is not valid.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{log: logs.New(cfg.Logger), connections: newConnections(), incarnation: rand.Text(), key: feed.NewKey()}
	conn, err := grpc.NewClient(cfg.Coordinator, c.dialOptions(&cfg)...)
	if err != nil {
		return nil, fmt.Errorf("client: Coordinator: %w", err)
	}
	c.conn = conn
	c.registry, c.health = pb.NewRegistryServiceClient(conn), pb.NewHealthServiceClient(conn)
	c.ctx, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// connectParams make the pauses between two attempts to connect short, because a lease must be
// renewed in time. The defaults of gRPC allow pauses of two minutes.
var connectParams = grpc.ConnectParams{
	Backoff:           grpcbackoff.Config{BaseDelay: baseBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

func (c *Client) dialOptions(cfg *Config) []grpc.DialOption {
	creds := cfg.Credentials
	switch {
	case creds == nil && isUnix(cfg.Coordinator):
		creds = local.NewCredentials() // over a unix socket, nobody else can read what is sent
	case creds == nil:
		creds = insecure.NewCredentials()
	}
	opts := append(wire.DialOptions(wire.MaxWatchMessage),
		grpc.WithTransportCredentials(trackingCredentials{creds, c.connections}),
		grpc.WithConnectParams(connectParams),
		grpc.WithChainUnaryInterceptor(retrying()),
	)
	if cfg.TokenFile != "" {
		opts = append(opts, grpc.WithPerRPCCredentials(tokenFile(cfg.TokenFile)))
	}
	return append(opts, cfg.DialOptions...)
}

// Conn returns the connection, for the generated stubs of HealthService and AdminService. A
// unary call that fails is repeated if this cannot do harm. A stream that fails is not opened
// again.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close ends every Watch and every Registration, and closes the connection. It does not deregister
// instances: the coordinator removes them when their leases end. To remove an instance at once,
// close its Registration before the Client. Close may be called more than once.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	c.end(ErrClosed)
	c.running.Wait()
	c.log.Flush(logs.FlushTime)
	if !first {
		return nil
	}
	return c.conn.Close()
}

// runJoined runs f in a new goroutine, and Close waits for the end of this goroutine. If the Client
// is already closed, runJoined only returns ErrClosed.
func (c *Client) runJoined(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.running.Go(f)
	return nil
}

// withClient returns a context that ends when ctx ends or when the Client is closed. The returned
// function ends the context too, and must be called.
func (c *Client) withClient(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}
