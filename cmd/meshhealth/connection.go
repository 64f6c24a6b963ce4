package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// connection is an open connection to the coordinator in target, for one command.
type connection struct {
	*target
	health   pb.HealthServiceClient
	admin    pb.AdminServiceClient
	registry pb.RegistryServiceClient
	ads      discoverypb.AggregatedDiscoveryServiceClient
}

// ask checks the flags in t, connects to the coordinator, and calls f. The context that f receives
// ends after the time-out in t.
func (a *app) ask(cmd *cobra.Command, t *target, f func(ctx context.Context, conn *connection) error) error {
	if err := t.complete(cmd, a.getenv); err != nil {
		return err
	}
	return t.ask(cmd.Context(), f)
}

// ask connects to the coordinator and calls f. The fields of t must already be checked. The context
// that f receives ends after the time-out in t.
func (t *target) ask(ctx context.Context, f func(ctx context.Context, conn *connection) error) error {
	conn, closeConn, err := t.dial()
	if err != nil {
		return err
	}
	defer closeConn()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return f(ctx, &connection{
		t, pb.NewHealthServiceClient(conn), pb.NewAdminServiceClient(conn), pb.NewRegistryServiceClient(conn),
		discoverypb.NewAggregatedDiscoveryServiceClient(conn),
	})
}

// list yields all entries that s selects, ordered by name. It yields each entry as soon as it is
// received. The first page is small, so that the first entries come early. An error ends the list.
func (conn *connection) list(ctx context.Context, s *pb.Selector) iter.Seq2[*pb.Health, error] {
	return func(yield func(*pb.Health, error) bool) {
		req := &pb.ListRequest{Selector: s, PageSize: wire.DefaultPage}
		for {
			page, err := conn.health.List(ctx, req)
			if err != nil {
				yield(nil, conn.callError(err))
				return
			}
			for _, h := range page.GetEntries() {
				if !yield(h, nil) {
					return
				}
			}
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				return
			}
			req.PageSize = wire.MaxPage
		}
	}
}

// check returns the entry of one name. It returns nil if the name is not registered.
func (conn *connection) check(ctx context.Context, name string) (*pb.Health, error) {
	resp, err := conn.health.Check(ctx, &pb.CheckRequest{Service: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil
	case err != nil:
		return nil, conn.callError(err)
	case resp.GetHealth() == nil:
		// The answer contains only the fields of grpc.health.v1, so the server does not
		// implement more.
		id := health.ParseID(name)
		return &pb.Health{Service: id.Service, Instance: id.Instance, Status: resp.GetStatus()}, nil
	}
	return resp.GetHealth(), nil
}

// nameOf returns the name of an entry in the form in which a user would type it.
func nameOf(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}

// checkNames returns an error if a name is not valid or occurs twice.
func checkNames(names []string) error {
	for i, name := range names {
		if _, err := wire.ParseName(name); err != nil {
			return hinted("Names are SERVICE, SERVICE/INSTANCE, SERVICE/@ZONE, or */ZONE.", "%q: %w", name, err)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%q is given twice", name)
		}
	}
	return nil
}
