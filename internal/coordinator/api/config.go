package api

import (
	"context"
	"log/slog"
	"time"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Registry is the part of the package registry that the API uses.
type Registry interface {
	Register(ctx context.Context, regs []wire.Registration) ([]*health.Spec, error)
	Deregister(ctx context.Context, id health.ID, lease uint64, force bool, by wire.Registrant) (returns bool, err error)
	SetOverride(ctx context.Context, scope health.Scope, o *health.Override) error
	ClearOverride(ctx context.Context, scope health.Scope, author, reason string) error
	Overrides(ctx context.Context) ([]mesh.ActiveOverride, error)
	Inspect(ctx context.Context, id health.ID, members []health.ID) (v mesh.Inspection, ok bool, err error)
	Transitions(ctx context.Context, q store.Query) (store.Page, error)
	Renew(ctx context.Context, id health.ID, lease uint64, by wire.Registrant) (ttl time.Duration, unreachable bool, err error)
	Observe(ctx context.Context, ev mesh.Event, since time.Time) error
}

// XDS is the part of the package xds that the API uses.
type XDS interface {
	discoverypb.AggregatedDiscoveryServiceServer
	Codec() encoding.CodecV2
	Clients(after uint64, limit int) []*pb.XDSClient
	Resources(client string, behindOnly bool, afterType, afterName string, limit int) ([]*pb.XDSResource, error)
	AskAgain()
}

// Config has the settings of a Server.
type Config struct {
	Registry Registry
	Feed     *feed.Feed
	// Figures returns the current metrics of an instance, or nil if the metrics in Feed are the
	// newest. nil means that the metrics in Feed always are.
	Figures func(health.ID) *health.Metrics
	// XDS serves routing clients. The API checks that a caller may see addresses before it passes a
	// stream on. nil means that routing clients are not served.
	XDS XDS
	// Targets decides which addresses the coordinator may dial. Only instances with such addresses
	// may be registered.
	Targets *wire.Targets
	// Access identifies callers and decides what they may do.
	Access *Access
	// Audit keeps the audit log; nil means none.
	Audit Auditor
	// Reflection means that the server offers gRPC reflection, so that tools such as grpcurl
	// can list the services.
	Reflection bool
	// Unary and Stream are interceptors that run around every call, for example for metrics.
	Unary  []grpc.UnaryServerInterceptor
	Stream []grpc.StreamServerInterceptor
	// Peers counts and limits the connections of each peer; nil means no limit.
	Peers *Peers
	// MaxWatchers is the largest number of open Watch streams. MaxWatchersPerPeer is the largest
	// number of open Watch streams of one peer. 0 means the default of package grpchealth.
	MaxWatchers, MaxWatchersPerPeer int
	// Budgets limits how many messages of Report streams are used for each instance; nil means no
	// limit.
	Budgets *wire.Budgets
	// Services returns the current service policies, which Explain uses. nil means that there are
	// no service policies.
	Services func() map[string]health.ServicePolicy
	// Stats fills in those numbers of a GetCoordinator response that come from components outside
	// this package.
	Stats func(*pb.GetCoordinatorResponse)
	// Build is the version of the coordinator. Callers get it in answers.
	Build string
	// Logger receives a record for each panic of a handler; nil means no log.
	Logger *slog.Logger
}

// readEvidence is the verb in the audit log of a caller that may not read with all details.
const readEvidence = "read evidence of"

func (c *Config) setDefaults() {
	if c.Audit == nil {
		c.Audit = noAudit{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Peers == nil {
		c.Peers = NewPeers(0, 0)
	}
}

// check returns a gRPC error if the caller may not use a verb on a name.
func (c *Config) check(ctx context.Context, verb access.Verb, name access.Name) error {
	rights := c.Access.Rights(ctx)
	return wire.GRPC(c.refuse(ctx, rights, verb.String(), name, rights.Check(verb, name)))
}

// checkEvidence returns a gRPC error if the caller may not read a name with all details. For a name that the
// caller may not read at all, it is the error for an unknown name.
func (c *Config) checkEvidence(ctx context.Context, name access.Name) error {
	rights := c.Access.Rights(ctx)
	if l := c.Access.learning(); l != nil {
		l.read(rights, name, access.Evidence)
	}
	return wire.GRPC(c.refuse(ctx, rights, readEvidence, name, rights.CheckDetail(name, access.Evidence)))
}
