package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/internal/mesh"

	"github.com/meshhealth/meshhealth/health"
)

// benchApply measures how many events the method Apply of a mesh handles in one second. It then
// calls benchLayers, which measures parts of Apply.
func benchApply(_ context.Context, _ *options, r *report) error {
	for _, c := range []struct {
		what   string
		flips  bool
		allocs int64
	}{{"Mesh.Apply, unchanged status", false, 0}, {"Mesh.Apply, a flip (3 changes)", true, -1}} {
		res := testing.Benchmark(func(b *testing.B) { applyAll(b, 1000, c.flips, "", health.MeshPolicy{}) })
		rate := float64(res.N) / res.T.Seconds()
		r.figure(c.what, fmt.Sprintf("%.2f M/s, %d allocs", rate/1e6, res.AllocsPerOp()), "≥ 1 M/s"+zero(c.allocs),
			rate >= 1e6 && (c.allocs < 0 || res.AllocsPerOp() == c.allocs))
	}
	return benchLayers(r)
}

// benchLayers measures how much time guards, flap damping and dependencies add to one flip, a
// change of the status of an instance. It also measures flips of instances in a zone. A zone
// has statuses of its own, so such a flip causes five changes instead of three.
func benchLayers(r *report) error {
	chain := map[string]health.ServicePolicy{}
	for i := range 9 {
		chain[name("service", i)] = health.ServicePolicy{DependsOn: []string{name("service", i+1)}}
	}
	var layers, zones []float64
	for range 7 {
		of := func(zone string, p health.MeshPolicy) float64 {
			return float64(testing.Benchmark(func(b *testing.B) { applyAll(b, 1000, true, zone, p) }).NsPerOp())
		}
		two := of("", health.MeshPolicy{GuardMin: -1, FlapHalfLife: -1})
		layers = append(layers, of("", health.MeshPolicy{Services: chain})/two)
		zones = append(zones, of("eu-1", health.MeshPolicy{Services: chain})/two)
	}
	r.ratio("Mesh.Apply, a flip: all layers, dependencies / layers 1 and 2", layers, 1.3)
	r.ratio("… and in a zone (5 changes to 3)", zones, 2.2)
	return nil
}

func zero(allocs int64) string {
	if allocs == 0 {
		return ", 0 allocs"
	}
	return ""
}

// applyAll passes b.N reports to the method Apply of a mesh with n instances of 10 services. The
// instances report one after the other. If flips is true, each report changes a status.
func applyAll(b *testing.B, n int, flips bool, zone string, p health.MeshPolicy) {
	now := time.Now()
	m := mesh.New(p, 1, now)
	ids := make([]health.ID, n)
	var dst []health.Change
	for i := range ids {
		ids[i] = health.ID{Service: name("service", i%10), Instance: name("instance", i)}
		spec := &health.Spec{TTL: 30 * time.Second, Lease: 1, Zone: zone}
		dst = m.Apply(dst[:0], now, &mesh.Event{Kind: mesh.EventRegister, ID: ids[i], Lease: 1, Spec: spec})
	}
	ev := mesh.Event{Kind: mesh.EventReport, Lease: 1}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		now = now.Add(2 * time.Minute / time.Duration(n)) // an instance reports every 2 min, so that flap damping does nothing
		ev.ID, ev.Report = ids[i%n], mesh.Report{Source: health.SourceMeshhealth, Status: health.Serving}
		if flips && i/n%2 == 1 {
			ev.Report.Status = health.NotServing
		}
		dst = m.Apply(dst[:0], now, &ev)
	}
}
