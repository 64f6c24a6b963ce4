package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// connection is a connection to a coordinator for one command.
type connection struct {
	*target
	health   pb.HealthServiceClient
	admin    pb.AdminServiceClient
	registry pb.RegistryServiceClient
}

// ask checks the target and calls f with a connection. The context of f ends after the
// timeout of the target.
func (a *app) ask(cmd *cobra.Command, t *target, f func(ctx context.Context, conn *connection) error) error {
	if err := t.complete(cmd, a.getenv); err != nil {
		return err
	}
	return t.ask(cmd.Context(), f)
}

// ask calls f with a connection to a target that is already checked. The context of f ends
// after the timeout of the target.
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
	})
}

// list yields all entries that match s, ordered by name, as soon as they are received. The
// first page is small, so that its entries are received early. An error ends the list.
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

// check returns the entry of one name, or nil if the name is not registered.
func (conn *connection) check(ctx context.Context, name string) (*pb.Health, error) {
	resp, err := conn.health.Check(ctx, &pb.CheckRequest{Service: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil
	case err != nil:
		return nil, conn.callError(err)
	case resp.GetHealth() == nil:
		// The server sends the fields of the standard protocol only.
		id := health.ParseID(name)
		return &pb.Health{Service: id.Service, Instance: id.Instance, Status: resp.GetStatus()}, nil
	}
	return resp.GetHealth(), nil
}

// nameOf returns the name of an entry in the form that commands accept.
func nameOf(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}

// checkNames refuses names that are not valid, and names that are given twice.
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
