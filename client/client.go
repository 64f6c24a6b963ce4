package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Config says how to reach a coordinator.
type Config struct {
	// Coordinator is where it listens: HOST:PORT, or any gRPC target. Required.
	Coordinator string
	// Credentials secure the connection. Nil means plaintext, which is refused
	// unless Coordinator is on loopback.
	Credentials credentials.TransportCredentials
	// Insecure allows plaintext to anywhere.
	Insecure bool
	// Logger gets a line for each change of a registration's state; nil means
	// none.
	Logger *slog.Logger
	// DialOptions come after our own, and win. They are for what this Config
	// does not foresee, such as a dialer.
	DialOptions []grpc.DialOption
}

// validate reports everything that is wrong, by field.
func (c *Config) validate() error {
	var f faults
	if c.Coordinator == "" {
		f.add("Coordinator", errors.New("is empty; allowed: HOST:PORT or a gRPC target"))
	}
	switch {
	case c.Credentials != nil && c.Insecure:
		f.add("Insecure", errors.New("is set beside Credentials; allowed: one of them"))
	case c.Credentials == nil && !c.Insecure && c.Coordinator != "" && !local(c.Coordinator):
		f.add("Credentials", fmt.Errorf("are nil, and %q is not on loopback; set Credentials, or Insecure to talk plaintext", c.Coordinator))
	}
	return errors.Join(f...)
}

// faults collects what is wrong, by field.
type faults []error

func (f *faults) add(field string, err error) {
	if err != nil {
		*f = append(*f, fmt.Errorf("%s: %w", field, err))
	}
}

// local reports whether a target certainly leads to this machine.
func local(target string) bool {
	for _, prefix := range []string{"unix:", "unix-abstract:"} {
		if strings.HasPrefix(target, prefix) {
			return true
		}
	}
	for _, prefix := range []string{"dns:///", "dns:", "passthrough:///", "passthrough:"} {
		if rest, ok := strings.CutPrefix(target, prefix); ok {
			target = rest
			break
		}
	}
	return wire.IsLoopback(target)
}

// Client is a connection to a coordinator.
type Client struct {
	log      *slog.Logger
	conn     *grpc.ClientConn
	registry pb.RegistryServiceClient
	health   pb.HealthServiceClient
	lines    *lines
	budget   budget
	// incarnation tells this process from others of the same name.
	incarnation string

	ctx context.Context // ends with Close
	end context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// New returns a client. It does not connect before it has to, and so does not
// fail because a coordinator is away.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Client{log: cfg.Logger, lines: newLines(), incarnation: rand.Text()}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	conn, err := grpc.NewClient(cfg.Coordinator, c.dialOptions(&cfg)...)
	if err != nil {
		return nil, fmt.Errorf("client: Coordinator: %w", err)
	}
	c.conn = conn
	c.registry, c.health = pb.NewRegistryServiceClient(conn), pb.NewHealthServiceClient(conn)
	c.ctx, c.end = context.WithCancelCause(context.Background())
	return c, nil
}

// connecting is short, for a lease is waiting: gRPC's own defaults let two
// minutes pass between attempts.
var connecting = grpc.ConnectParams{
	Backoff:           grpcbackoff.Config{BaseDelay: baseBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

func (c *Client) dialOptions(cfg *Config) []grpc.DialOption {
	creds := cfg.Credentials
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	opts := append(wire.DialOptions(wire.MaxWatchMessage),
		grpc.WithTransportCredentials(listening{creds, c.lines}),
		grpc.WithConnectParams(connecting),
		grpc.WithChainUnaryInterceptor(retrying()),
	)
	return append(opts, cfg.DialOptions...)
}

// Conn returns the connection, for the generated stubs of HealthService and
// AdminService. Unary calls on it are tried again where that cannot do harm;
// streams are not.
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close ends every Watch and every Registration, without deregistering: those
// that are to go at once are to be closed before. What is left is forgotten
// when its lease runs out.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	c.end(ErrClosed)
	c.running.Wait()
	if !first {
		return nil
	}
	return c.conn.Close()
}

// start runs f in a goroutine that Close joins.
func (c *Client) start(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.running.Go(f)
	return nil
}

// within returns a context that ends with ctx, and when the client is closed.
func (c *Client) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(c.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { unhook(); cancel(nil) }
}
