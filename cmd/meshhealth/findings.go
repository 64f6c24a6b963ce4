package main

import (
	"context"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// findings are the entries that the command status has received from a server.
type findings struct {
	mesh    *pb.Health   // entry of the mesh; nil if the command line has names, or if the server is not a coordinator
	self    *pb.Health   // entry of the coordinator itself; nil if mesh is nil
	asked   []*pb.Health // entries that decide the exit code if mesh is nil
	entries []*pb.Health // entries that the command lists
	missing []string     // names on the command line that are not registered
	// state is the state of the coordinator. It is nil if mesh is nil, or if the caller may not
	// read it.
	state *pb.GetCoordinatorResponse
	// filtered is true if the flag --where has chosen the entries.
	filtered bool
}

// exitCode returns the exit code for the status of the mesh. If the command line has names, it
// returns the worst exit code of their entries.
func (f *findings) exitCode() int {
	if f.mesh != nil {
		return exitCodeOf(f.mesh.GetStatus())
	}
	code := exitOK
	if len(f.asked)+len(f.missing) == 0 {
		code = exitFail // the server has no entries: it is part of a service process that publishes nothing
	}
	for _, h := range f.asked {
		code = worstExitCode(code, exitCodeOf(h.GetStatus()))
	}
	return code
}

// find gets the entries of names, or of the whole mesh if names is empty. Of these it keeps the
// entries that by matches. It calls received for each entry to print, as soon as the entry has
// arrived.
func (conn *connection) find(ctx context.Context, names []string, by *where, received func(*pb.Health) error) (*findings, error) {
	switch {
	case len(names) == 0 && by.given():
		return conn.findWhere(ctx, by, received)
	case len(names) == 0:
		return conn.findMesh(ctx, received)
	}
	f := &findings{filtered: by.given()}
	found := map[string]bool{}
	var services []string
	for _, name := range names {
		h, err := conn.check(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case h == nil:
			f.missing = append(f.missing, name)
			continue
		}
		found[nameOf(h)] = true
		if h.GetInstance() == "" && h.GetService() != health.MeshName && h.GetService() != "" {
			services = append(services, h.GetService())
		}
		if !by.matches(h) {
			continue
		}
		f.asked, f.entries = append(f.asked, h), append(f.entries, h)
		if err := received(h); err != nil {
			return nil, err
		}
	}
	return f, conn.addInstances(ctx, f, services, found, by, received)
}

// findWhere gets the entries that by matches. They decide the exit code.
func (conn *connection) findWhere(ctx context.Context, by *where, received func(*pb.Health) error) (*findings, error) {
	f := &findings{filtered: true}
	for h, err := range conn.list(ctx, by.request()) {
		if err != nil {
			return nil, err
		}
		if h.GetService() == "" || !by.matches(h) {
			continue
		}
		f.asked, f.entries = append(f.asked, h), append(f.entries, h)
		if err := received(h); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (conn *connection) findMesh(ctx context.Context, received func(*pb.Health) error) (*findings, error) {
	f := &findings{}
	for h, err := range conn.list(ctx, nil) {
		switch {
		case err != nil:
			return nil, err
		case h.GetService() == "":
			f.self = h
			continue
		case h.GetService() == health.MeshName && h.GetInstance() == "":
			f.mesh = h
		default:
			f.entries = append(f.entries, h)
		}
		if err := received(h); err != nil {
			return nil, err
		}
	}
	if f.mesh == nil { // the server is part of a service process; only a coordinator has an entry of the mesh
		f.asked = f.entries
		return f, nil
	}
	// Without the right to read the state, the entry of the coordinator has to suffice.
	f.state, _ = conn.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	return f, nil
}

// addInstances adds the instances of services to f.entries, except those that have been found
// already.
func (conn *connection) addInstances(ctx context.Context, f *findings, services []string, found map[string]bool, by *where, received func(*pb.Health) error) error {
	if len(services) == 0 {
		return nil
	}
	for h, err := range conn.list(ctx, &pb.Selector{Services: services}) {
		if err != nil {
			return err
		}
		if found[nameOf(h)] || !by.matches(h) {
			continue
		}
		if f.entries = append(f.entries, h); by.given() {
			f.asked = append(f.asked, h)
		}
		if err := received(h); err != nil {
			return err
		}
	}
	return nil
}

// worstExitCode returns the worst of several exit codes. From best to worst they are 0 (SERVING), 1
// (DEGRADED and others), 3 (UNKNOWN) and 2 (NOT_SERVING).
func worstExitCode(codes ...int) int {
	rank := map[int]int{0: 0, 1: 1, 3: 2, 2: 3}
	worst := 0
	for _, c := range codes {
		if rank[c] > rank[worst] {
			worst = c
		}
	}
	return worst
}
