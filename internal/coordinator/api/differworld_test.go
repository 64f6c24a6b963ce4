package api

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/mesh"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// rootHost is the host from which the caller with all rights comes.
const rootHost = "192.0.2.99"

// shown are the services that the restricted caller may read, or some of which it may read.
var shown = []string{"pay", "shop", "ops"}

// hiddenNames are the hidden services of three meshes. Some sort before, between and after those that are
// shown. The last mesh has none.
var hiddenNames = [][]string{{"bank", "pay.core", "vault"}, {"abc", "paz", "shop.x"}, nil}

// restricted are the policies of the restricted caller.
var restricted = []func(r *access.Rule){
	func(r *access.Rule) {
		r.Read = &access.Read{Services: shown, Detail: access.Evidence}
		r.Route = &access.Services{Services: []string{"pay", "ops"}}
	},
	func(r *access.Rule) {
		r.Read = &access.Read{Services: shown, Detail: access.Reason}
		r.Register = &access.Register{Services: []string{"pay"}, Peer: true, Instances: 10}
	},
	func(r *access.Rule) {
		r.Read = &access.Read{Services: shown[:2]}
		r.Route = &access.Services{Services: shown}
		r.Override = &access.Override{Services: shown[:1]}
	},
}

// mutation is one random change of a mesh. Meshes that differ in their hidden names apply the same changes to
// different names.
type mutation struct {
	hidden            bool
	kind              int
	service, instance int
	status            health.Status
	n                 int
}

var reported = []health.Status{health.Serving, health.Serving, health.Degraded, health.NotServing, health.NotServing, health.Draining}

func randomMutation(r *rand.Rand) mutation {
	return mutation{
		hidden: r.IntN(2) == 0, kind: r.IntN(numChanges), service: r.IntN(len(shown)), instance: r.IntN(3),
		status: reported[r.IntN(len(reported))], n: r.IntN(100),
	}
}

// differing is a mesh with its own hidden names.
type differing struct {
	*world
	hidden []string
	warm   int // 0: nobody else reads; 1: root reads before the restricted caller; 2: after it
	root   *visitor

	mu      sync.Mutex
	figures map[health.ID]int
}

func newDiffering(t *testing.T, hidden []string, rights, warm int) *differing {
	d := &differing{hidden: hidden, warm: warm, figures: map[health.ID]int{}}
	services := map[string]health.ServicePolicy{"pay": {DependsOn: []string{"shop"}}, "shop": {DependsOn: []string{"ops"}}}
	if hidden != nil {
		services = map[string]health.ServicePolicy{
			"pay": {DependsOn: []string{hidden[0], "shop"}}, "shop": {DependsOn: []string{hidden[1], "ops"}},
			hidden[0]: {DependsOn: []string{hidden[2]}}, hidden[2]: {DependsOn: []string{"ops"}},
		}
	}
	caller := access.Rule{Name: "restricted", Who: []string{"anyone"}}
	restricted[rights](&caller)
	all := everybody().Rules[0]
	all.Who = []string{"ext:root"}
	d.world = newWorld(t, func(s *setup) {
		s.routing = true
		s.policy.Services = services
		s.Services = func() map[string]health.ServicePolicy { return services }
		s.Figures = d.metrics
		s.access = &access.Policy{Rules: []access.Rule{caller, all}}
		s.authenticate = func(ctx context.Context, _ []*x509.Certificate, _ string) (string, error) {
			if callerAddr(ctx).String() == rootHost {
				return "root", nil
			}
			return "", nil
		}
	})
	d.root = d.call(rootHost, insecure.NewCredentials())
	// An override needs an instance that it matches. This one stays.
	regs := must(wire.Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{in("ops/9", "eu-2", "core")}}))
	_ = must(d.registry.Register(d.t.Context(), regs))
	synctest.Wait()
	return d
}

// metrics returns the figures of an instance.
func (d *differing) metrics(id health.ID) *health.Metrics {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.figures[id]; n > 0 {
		return &health.Metrics{Runs: uint64(n), Gauges: map[string]float64{"load": float64(n)}}
	}
	return nil
}

// The kinds of changes.
const (
	changeRegister = iota
	changeRegisterMore
	changeReport
	changeReportMore
	changeReportCheck
	changeDeregister
	changeOverride
	changeOverrideService
	changeOverrideScope
	changeOverrideZone
	changeClear
	changeFigures
	numChanges
)

// apply applies a change. A change of a hidden name has no effect in a mesh that has none.
func (d *differing) apply(c *mutation) {
	names := shown
	if c.hidden {
		if names = d.hidden; names == nil {
			return
		}
	}
	service := names[c.service]
	id := health.ID{Service: service, Instance: fmt.Sprint(c.instance)}
	switch c.kind {
	case changeRegister, changeRegisterMore:
		r := in(id.String(), []string{"eu-1", "eu-2"}[c.instance%2], []string{"core", "web"}[c.n%2])
		regs := must(wire.Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{r}}))
		_ = must(d.registry.Register(d.t.Context(), regs))
	case changeReport, changeReportMore, changeReportCheck:
		d.report(id, c)
	case changeDeregister:
		_, _ = d.registry.Deregister(d.t.Context(), id, 0, true, wire.Registrant{}) // it fails if there is no such instance
	case changeOverride:
		d.override(id.String(), c)
	case changeOverrideService:
		d.override(service, c)
	case changeOverrideScope:
		d.override("service="+service+",zone=eu-1", c)
	case changeOverrideZone:
		if !c.hidden { // else the shown instances would be affected
			d.override("zone=eu-2", c)
		}
	case changeClear:
		scopes := []string{id.String(), service, "service=" + service + ",zone=eu-1"}
		if !c.hidden {
			scopes = append(scopes, "zone=eu-2")
		}
		for _, scope := range scopes {
			_, _ = d.root.admin.ClearOverride(d.t.Context(), &pb.ClearOverrideRequest{Name: scope, Author: "ann"}) // there may be none
			synctest.Wait()
		}
	case changeFigures:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.figures[id] = c.n
	}
}

func (d *differing) report(id health.ID, c *mutation) {
	e, ok := d.registry.Feed().Get(id)
	if !ok {
		return
	}
	r := mesh.Report{Source: health.SourceMeshhealth, Status: c.status, Reason: fmt.Sprint("reason ", c.n)}
	if c.kind == changeReportCheck {
		r.Checks = []health.CheckState{{Name: "disk", Status: c.status, Cause: health.CauseFailed, Reason: "full", Fails: c.n, LastRun: time.Now()}}
	}
	ev := mesh.Event{Kind: mesh.EventReport, ID: id, Lease: e.Spec.Lease, Proven: true, Report: r}
	if err := d.registry.Observe(d.t.Context(), ev, time.Time{}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *differing) override(scope string, c *mutation) {
	req := forAnHour(scope, pb.Status_STATUS_MAINTENANCE)
	if c.n%3 == 0 {
		req.Status = pb.Status_STATUS_NOT_SERVING
	}
	if _, err := d.root.admin.SetOverride(d.t.Context(), req); err != nil && status.Code(err) != codes.NotFound { // no instance matches
		d.t.Fatal(scope, err)
	}
}

// asked returns the names about which callers ask: those of all meshes, and unknown ones.
func asked() []string {
	all := []string{"", "*", "*/eu-1", "nobody", "pay/9"}
	for _, services := range append(slices.Clone(hiddenNames), shown) {
		for i, s := range services {
			all = append(all, s)
			if i < 2 {
				all = append(all, s+"/1", s+"/@eu-1")
			}
		}
	}
	return all
}

// readAll reads as a caller with all rights, so that what is shared between callers is encoded for it.
func (d *differing) readAll() {
	w := d.root.watch(&pb.WatchRequest{})
	_ = w.end()
	w.cancel()
	synctest.Wait()
	for _, req := range []any{&pb.ListRequest{}, &pb.CheckRequest{Service: "pay"}, &pb.ExplainRequest{Name: "pay"}, &pb.ListTransitionsRequest{}, &pb.ListOverridesRequest{}} {
		if c, is := req.(*pb.CheckRequest); is {
			d.root.check(c.GetService())
		} else if err := d.root.send(req); err != nil && status.Code(err) != codes.NotFound {
			d.t.Fatalf("%T: %v", req, err)
		}
	}
}
