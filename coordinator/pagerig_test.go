//go:build e2e

package coordinator

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// TestPageRig is the coordinator that the tests of the page drive (e2e/ui). It runs only if the
// environment variable MESHHEALTH_PAGE_RIG has its settings. It reads one command in each line of
// stdin, and answers each with one line of stdout, until stdin ends.
//
// Everything but the evidence is real: the coordinator, its listeners, and the registrations through
// the API. The rig passes evidence to the registry directly, as a follower or a Report stream does.
func TestPageRig(t *testing.T) {
	settings := os.Getenv("MESHHEALTH_PAGE_RIG")
	if settings == "" {
		t.Skip("MESHHEALTH_PAGE_RIG is not set: only the tests of the page run this")
	}
	rig, err := newPageRig(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	rig.say(map[string]any{"http": "http://" + rig.c.HTTPAddr().String(), "grpc": rig.c.Addr().String()})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		answer, err := rig.do(t.Context(), in.Bytes())
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		rig.say(answer)
	}
}

// pageSettings are the settings of a rig.
type pageSettings struct {
	Listen, HTTP, DataDir string
	Build                 string
	GuardMin              int     // 0 means the default of the policy
	UnreachableAfter      float64 // in seconds; 0 means the default of the policy
	Amnesty               float64 // in seconds; 0 means the default of the policy, and a negative value none
	Damping               bool
}

type pageRig struct {
	c        *Coordinator
	registry pb.RegistryServiceClient
	admin    pb.AdminServiceClient
	leases   map[health.ID]uint64
	ids      []health.ID // in the order of registration
}

func newPageRig(t *testing.T, settings string) (*pageRig, error) {
	var s pageSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return nil, err
	}
	policy := health.MeshPolicy{GuardMin: s.GuardMin, UnreachableAfter: time.Duration(s.UnreachableAfter * float64(time.Second)), FlapHalfLife: -1}
	policy.Amnesty = time.Duration(s.Amnesty * float64(time.Second))
	if s.Damping {
		policy.FlapHalfLife = 0
	}
	c, err := New(t.Context(), Config{
		Listen: s.Listen, HTTP: s.HTTP, DataDir: s.DataDir, Policy: policy, Build: cmp.Or(s.Build, "rig"), Logger: slog.New(slog.DiscardHandler),
		// No instance has a server: all push.
		Dial: Dial{Context: func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
	})
	if err != nil {
		return nil, err
	}
	runUntilEnd(t, c)
	conn, err := grpc.NewClient(c.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	// Without an access policy, overrides are allowed over the unix socket only.
	local, err := grpc.NewClient("unix:"+c.Socket(), grpc.WithTransportCredentials(local.NewCredentials()))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = local.Close() })
	return &pageRig{c: c, registry: pb.NewRegistryServiceClient(conn), admin: pb.NewAdminServiceClient(local), leases: map[health.ID]uint64{}}, nil
}

func (r *pageRig) say(answer any) {
	line, err := json.Marshal(answer)
	if err != nil {
		panic(err) // answers are made of texts and numbers
	}
	fmt.Printf("rig %s\n", line)
}

// pageCommand is one command. Do is the name of the command; each command uses other fields.
type pageCommand struct {
	Do            string
	Registrations []json.RawMessage // register: messages Registration
	Names         []string          // report, path, malformed, config: instances; none means all
	Report        json.RawMessage   // report: a message ReportRequest without a lease
	Rate          int               // flip: changes a second
	Seconds       float64           // flip
	Override      json.RawMessage   // override: a message SetOverrideRequest
	DependsOn     map[string]struct{ Hard, Soft []string }
}

func (r *pageRig) do(ctx context.Context, line []byte) (any, error) {
	var c pageCommand
	if err := json.Unmarshal(line, &c); err != nil {
		return nil, err
	}
	switch c.Do {
	case "register":
		return r.register(ctx, c.Registrations)
	case "report":
		return r.report(ctx, c.Names, c.Report)
	case "path":
		return r.all(ctx, c.Names, mesh.Event{Kind: mesh.EventPath, Reason: "the rig has cut the path"})
	case "malformed":
		return r.answer(ctx, c.Names, mesh.Event{Kind: mesh.EventMalformed, Cause: health.CauseMalformed, Reason: "the rig sends no answer that can be read"})
	case "config":
		return r.answer(ctx, c.Names, mesh.Event{Kind: mesh.EventConfig, Cause: health.CauseUnimplemented, Reason: "the rig has no health service"})
	case "flip":
		return r.flip(ctx, c.Rate, time.Duration(c.Seconds*float64(time.Second)))
	case "depend":
		services := map[string]health.ServicePolicy{}
		for name, on := range c.DependsOn {
			services[name] = health.ServicePolicy{DependsOn: on.Hard, SoftDependsOn: on.Soft}
		}
		return map[string]any{}, r.c.Reload(ctx, nil, services)
	case "override":
		req := &pb.SetOverrideRequest{}
		if err := protojson.Unmarshal(c.Override, req); err != nil {
			return nil, err
		}
		_, err := r.admin.SetOverride(ctx, req)
		return map[string]any{}, err
	}
	return nil, fmt.Errorf("do: is %q; allowed: register, report, path, malformed, config, flip, depend, override", c.Do)
}

// register registers instances through the API, in batches of 500. From then on they push.
func (r *pageRig) register(ctx context.Context, messages []json.RawMessage) (any, error) {
	began := time.Now()
	for len(messages) > 0 {
		n := min(len(messages), 500)
		req := &pb.RegisterRequest{}
		for _, m := range messages[:n] {
			one := &pb.Registration{}
			if err := protojson.Unmarshal(m, one); err != nil {
				return nil, err
			}
			one.Incarnation, one.Address, one.Ttl = "rig", "127.0.0.1:9", durationpb.New(10*time.Minute)
			req.Registrations = append(req.Registrations, one)
		}
		resp, err := r.registry.Register(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, l := range resp.GetLeases() {
			id := health.ID{Service: l.GetService(), Instance: l.GetInstance()}
			lease, err := strconv.ParseUint(l.GetLeaseId(), 16, 64)
			if err != nil {
				return nil, err
			}
			if _, known := r.leases[id]; !known {
				r.ids = append(r.ids, id)
			}
			r.leases[id] = lease
			if err := r.observe(ctx, id, mesh.Event{Kind: mesh.EventPushed, On: true}); err != nil {
				return nil, err
			}
		}
		messages = messages[n:]
	}
	return map[string]any{"instances": len(r.ids), "seconds": time.Since(began).Seconds()}, nil
}

func (r *pageRig) observe(ctx context.Context, id health.ID, ev mesh.Event) error {
	lease, ok := r.leases[id]
	if !ok {
		return fmt.Errorf("names: %v is not registered", id)
	}
	ev.ID, ev.Lease = id, lease
	return r.c.registry.Observe(ctx, ev, time.Time{})
}

// answer passes the event while the instances do not push, because what pushes is not called.
func (r *pageRig) answer(ctx context.Context, names []string, ev mesh.Event) (any, error) {
	var at any
	for _, ev := range []mesh.Event{{Kind: mesh.EventPushed, On: false}, ev, {Kind: mesh.EventPushed, On: true}} {
		var err error
		if at, err = r.all(ctx, names, ev); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// all passes the event for each of the instances.
func (r *pageRig) all(ctx context.Context, names []string, ev mesh.Event) (any, error) {
	ids := r.ids
	if len(names) > 0 {
		ids = nil
		for _, name := range names {
			ids = append(ids, health.ParseID(name))
		}
	}
	began := time.Now()
	for _, id := range ids {
		if err := r.observe(ctx, id, ev); err != nil {
			return nil, err
		}
	}
	return map[string]any{"at": float64(began.UnixMicro()) / 1000, "seconds": time.Since(began).Seconds()}, nil
}

// report passes what instances report about themselves.
func (r *pageRig) report(ctx context.Context, names []string, message []byte) (any, error) {
	m := &pb.ReportRequest{}
	if err := protojson.Unmarshal(message, m); err != nil {
		return nil, err
	}
	report, ok := wire.ReportFromPush(m, time.Now())
	if !ok {
		return nil, errors.New("report.status: is no status that an instance can report")
	}
	return r.all(ctx, names, mesh.Event{Kind: mesh.EventReport, Report: report})
}

// flip changes the status of one instance after the other, in turn from SERVING to NOT_SERVING and
// back, at a constant rate.
func (r *pageRig) flip(ctx context.Context, rate int, lasting time.Duration) (any, error) {
	began, flips := time.Now(), 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < lasting {
		for due := int(time.Since(began).Seconds() * float64(rate)); flips < due; flips++ {
			to := health.NotServing
			if flips/len(r.ids)%2 == 1 {
				to = health.Serving
			}
			ev := mesh.Event{Kind: mesh.EventReport, Report: mesh.Report{Source: health.SourcePush, Status: to, Reason: "the rig flips it"}}
			if err := r.observe(ctx, r.ids[flips%len(r.ids)], ev); err != nil {
				return nil, err
			}
		}
		<-tick.C
	}
	return map[string]any{"flips": flips, "seconds": time.Since(began).Seconds()}, nil
}
