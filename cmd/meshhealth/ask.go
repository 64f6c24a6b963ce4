package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// asking is a connection to a coordinator for one command.
type asking struct {
	*target
	health   pb.HealthServiceClient
	admin    pb.AdminServiceClient
	registry pb.RegistryServiceClient
}

// ask calls f with a connection, and a context that ends with the timeout.
func (a *app) ask(cmd *cobra.Command, t *target, f func(ctx context.Context, q *asking) error) error {
	if err := t.complete(cmd, a.getenv); err != nil {
		return err
	}
	conn, closeConn, err := t.dial()
	if err != nil {
		return err
	}
	defer closeConn()
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	return f(ctx, &asking{
		t, pb.NewHealthServiceClient(conn), pb.NewAdminServiceClient(conn), pb.NewRegistryServiceClient(conn),
	})
}

// list returns everything that matches.
func (q *asking) list(ctx context.Context, s *pb.Selector) ([]*pb.Health, error) {
	var all []*pb.Health
	req := &pb.ListRequest{Selector: s, PageSize: wire.MaxPage}
	for {
		page, err := q.health.List(ctx, req)
		if err != nil {
			return nil, q.explain(err)
		}
		all = append(all, page.GetEntries()...)
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return all, nil
		}
	}
}

// check returns one name's health, nil if there is none.
func (q *asking) check(ctx context.Context, name string) (*pb.Health, error) {
	resp, err := q.health.Check(ctx, &pb.CheckRequest{Service: name})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil
	case err != nil:
		return nil, q.explain(err)
	case resp.GetHealth() == nil:
		// A server that knows the standard protocol's fields only.
		id := health.ParseID(name)
		return &pb.Health{Service: id.Service, Instance: id.Instance, Status: resp.GetStatus()}, nil
	}
	return resp.GetHealth(), nil
}

// unknown says that there is no such name, and which one is near.
func (q *asking) unknown(ctx context.Context, name string) error {
	id := health.ParseID(name)
	selector := &pb.Selector{AggregatesOnly: id.Instance == ""}
	if id.Instance != "" {
		selector.Services = []string{id.Service}
	}
	// Only a hint depends on it.
	near, _ := q.health.List(ctx, &pb.ListRequest{Selector: selector, PageSize: wire.MaxPage})
	var names []string
	for _, h := range near.GetEntries() {
		names = append(names, wire.Clean(nameOf(h)))
	}
	if best := nearest(name, names); best != "" {
		return hinted(fmt.Sprintf("Did you mean %s?", best), "%s is not registered", name)
	}
	return hinted("`meshhealth status` lists what is.", "%s is not registered", name)
}

// nameOf returns the name of an entry as a command takes it.
func nameOf(h *pb.Health) string {
	return health.ID{Service: h.GetService(), Instance: h.GetInstance()}.String()
}

// checkNames refuses what no name can look like, before anybody is asked.
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
