package orca_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcorca "google.golang.org/grpc/orca"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server"
	"github.com/meshhealth/meshhealth/server/orca"
)

// gauges are the values that the checks of a server observe.
type gauges struct {
	mu     sync.Mutex
	values map[string]float64
}

func (g *gauges) set(name string, value float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.values[name] = value
}

// check returns a check that observes one gauge each second.
func (g *gauges) check(name string) server.Check {
	return server.Check{Name: name, Every: time.Second, Run: func(ctx context.Context) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if v, ok := g.values[name]; ok {
			server.Observe(ctx, v, "%")
		}
		return nil
	}}
}

// loadReport has the fields of xds.data.orca.v3.OrcaLoadReport.
type loadReport struct {
	ApplicationUtilization, RpsFractional, Eps float64
	RequestCost                                map[string]float64
}

// message returns an empty message of grpc-go's stubs, which this module does not import itself.
func message(t *testing.T, name protoreflect.FullName) proto.Message {
	t.Helper()
	typ, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return typ.New().Interface()
}

func newReport(t *testing.T) proto.Message { return message(t, "xds.data.orca.v3.OrcaLoadReport") }

func fieldsOf(t *testing.T, m proto.Message) (report *loadReport) {
	t.Helper()
	text, err := protojson.Marshal(m)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// reportOf returns the report in the trailers of a call, or nil if there is none.
func reportOf(t *testing.T, trailer metadata.MD) *loadReport {
	t.Helper()
	all := trailer.Get("endpoint-load-metrics-bin")
	if len(all) == 0 {
		return nil
	}
	m := newReport(t)
	if err := proto.Unmarshal([]byte(all[0]), m); err != nil {
		t.Fatal(err)
	}
	return fieldsOf(t, m)
}

// outOfBand asks for reports with an interval.
func outOfBand(t *testing.T, conn *grpc.ClientConn, interval string) grpc.ClientStream {
	t.Helper()
	req := message(t, "xds.service.orca.v3.OrcaLoadReportRequest")
	err := protojson.Unmarshal([]byte(`{"reportInterval": "`+interval+`"}`), req)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics")
	if err = errors.Join(err, stream.SendMsg(req), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	return stream
}

func near(got, want float64) bool { return math.Abs(got-want) < 1e-9 }

// TestReports: each gauge appears as its utilisation, and is raised while the server is DEGRADED.
func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		g := &gauges{values: map[string]float64{"cpu": 20, "mem": 0.25, "queue": 30, "pool": 0.1}}
		for _, name := range []string{"cpu", "mem", "queue", "pool", "never"} {
			if err := s.Add(g.check(name)); err != nil {
				t.Fatal(err)
			}
		}
		run(t, s)
		r, err := orca.New(orca.Config{
			Server: s, CPU: orca.Gauge{Check: "cpu", Full: 100}, Memory: orca.Gauge{Check: "mem"},
			Application: orca.Gauge{Check: "queue", Full: 120},
			Named:       map[string]orca.Gauge{"pool": {Check: "pool"}, "never": {Check: "never"}, "nobody": {Check: "nobody"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		wants := func(cpu, mem, app, pool float64) {
			t.Helper()
			time.Sleep(2 * time.Second)
			m := r.ServerMetrics()
			if !near(m.CPUUtilization, cpu) || !near(m.MemUtilization, mem) || !near(m.AppUtilization, app) ||
				len(m.Utilization) != 1 || !near(m.Utilization["pool"], pool) {
				t.Errorf("%+v, want cpu %v, mem %v, app %v, pool %v", m, cpu, mem, app, pool)
			}
		}
		wants(0.2, 0.25, 0.25, 0.1)
		set(t, s, health.Degraded)
		wants(1.4, 1, 1.75, 0.7) // the utilisation of memory and named ones is at most 1
		set(t, s, health.NotServing)
		wants(0.2, 0.25, 0.25, 0.1)
		set(t, s, health.Serving)
		g.set("cpu", 70)
		g.set("pool", 2)
		wants(0.7, 0.25, 0.25, 1)
		g.set("cpu", math.NaN())
		g.set("queue", -1)
		g.set("mem", math.Inf(1))
		wants(-1, -1, -1, 1) // grpc-go omits -1
	})
}

// TestTrailers: a reply has a report with the rates of calls and errors. Health calls have none
// and do not count.
func TestTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r, err := orca.New(orca.Config{Server: s, Capacity: 40})
		if err != nil {
			t.Fatal(err)
		}
		b := newBackend(t, s, r)
		conn := b.dial(t)
		var report *loadReport
		for i := range 200 { // 10 calls and 2 errors each second
			var trailer metadata.MD
			code := codes.OK
			if i%5 == 0 {
				code = codes.Internal
			} else if i%5 == 1 {
				code = codes.NotFound // no error of the server
			}
			if err := b.call(t, conn, code, grpc.Trailer(&trailer)); status.Code(err) != code {
				t.Fatal(err)
			}
			if report = reportOf(t, trailer); report == nil {
				t.Fatal("no report")
			}
			if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.Trailer(&trailer)); err != nil {
				t.Fatal(err)
			}
			if reportOf(t, trailer) != nil {
				t.Fatal("a health call has a report")
			}
			time.Sleep(100 * time.Millisecond)
		}
		if math.Abs(report.RpsFractional-10) > 0.5 || math.Abs(report.Eps-2) > 0.2 ||
			!near(report.ApplicationUtilization, report.RpsFractional/40) {
			t.Errorf("%+v, want 10 calls and 2 errors per second", report)
		}
		time.Sleep(time.Minute)
		if m := r.ServerMetrics(); m.QPS > 0.2 {
			t.Errorf("%v calls per second after a quiet minute", m.QPS)
		}
	})
}

// TestOwnFigures: a handler adds its own figures to the report of its call.
func TestOwnFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r, err := orca.New(orca.Config{Server: s, Capacity: 40})
		if err != nil {
			t.Fatal(err)
		}
		b := newBackend(t, s, r)
		b.within = func(ctx context.Context) {
			grpcorca.CallMetricsRecorderFromContext(ctx).SetRequestCost("rows", 12)
		}
		conn := b.dial(t)
		for range 2 {
			var trailer metadata.MD
			if err := b.call(t, conn, codes.OK, grpc.Trailer(&trailer)); err != nil {
				t.Fatal(err)
			}
			if got := reportOf(t, trailer).RequestCost; got["rows"] != 12 || len(got) != 1 {
				t.Errorf("%v", got)
			}
		}
		if m := r.ServerMetrics(); len(m.RequestCost) != 0 {
			t.Errorf("the cost of a call is in the report of the server: %v", m.RequestCost)
		}
	})
}

// TestOutOfBand: a stream of reports has the interval of the server at least, and ends when the
// server drains. NoTrailers leaves the trailers empty.
func TestOutOfBand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		r, err := orca.New(orca.Config{Server: s, Capacity: 10, NoTrailers: true})
		if err != nil {
			t.Fatal(err)
		}
		b := newBackend(t, s, r)
		conn := b.dial(t)
		stream, begun, last := outOfBand(t, conn, "1s"), time.Now(), newReport(t)
		go func() {
			for time.Since(begun) < 100*time.Second {
				var trailer metadata.MD
				if b.call(t, conn, codes.OK, grpc.Trailer(&trailer)) != nil || reportOf(t, trailer) != nil {
					t.Error("a call fails or has a report")
				}
				time.Sleep(500 * time.Millisecond)
			}
		}()
		for range 3 {
			if err := stream.RecvMsg(last); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begun); d != 2*orca.MinInterval {
			t.Errorf("three reports in %v, want %v", d, 2*orca.MinInterval)
		}
		if r := fieldsOf(t, last); math.Abs(r.RpsFractional-2) > 0.1 || math.Abs(r.ApplicationUtilization-0.2) > 0.01 {
			t.Errorf("%+v, want 2 calls per second", r)
		}
		time.Sleep(time.Minute)
		if err := s.Stop(b.grpc, 10*time.Second); err != nil {
			t.Errorf("the streams keep the server from stopping: %v", err)
		}
		for err == nil {
			err = stream.RecvMsg(last)
		}
		if status.Code(err) != codes.Unavailable {
			t.Errorf("the stream ends with %v", err)
		}
	})
}

// TestConfig: the error names each invalid field.
func TestConfig(t *testing.T) {
	s := newServer(t)
	many := map[string]orca.Gauge{"": {}}
	for _, r := range strings.Repeat("x", 33) {
		many[strings.Repeat(string(r), len(many)+1)] = orca.Gauge{Check: "c"}
	}
	for name, c := range map[string]struct {
		cfg  orca.Config
		want []string
	}{
		"empty":   {orca.Config{}, []string{"Server: is nil", "Capacity: is 0, and no gauge"}},
		"unknown": {orca.Config{Server: s, Service: "x", Capacity: 1}, []string{`Service: is "x"; allowed: a name that Server serves`}},
		"negative": {orca.Config{Server: s, Capacity: -1, DegradedFactor: 0.5, Interval: time.Second}, []string{
			"Capacity: is -1", "DegradedFactor: is 0.5; allowed: 1 to 1000", "Interval: is 1s; allowed: 30s or more",
		}},
		"not finite": {orca.Config{Server: s, Capacity: math.NaN(), DegradedFactor: math.Inf(1), CPU: orca.Gauge{Check: "c", Full: math.Inf(1)}}, []string{
			"Capacity: is NaN", "DegradedFactor: is +Inf", "CPU.Full: is +Inf",
		}},
		"both":  {orca.Config{Server: s, Capacity: 1, Application: orca.Gauge{Check: "c"}}, []string{`Application.Check: is "c" beside Capacity`}},
		"named": {orca.Config{Server: s, Named: map[string]orca.Gauge{"": {Check: "c", Full: -1}, "x": {}}}, []string{`Named[""]: has a name of 0 bytes`, `Named[""].Full: is -1`, `Named["x"].Check: is empty`}},
		"many":  {orca.Config{Server: s, Named: many}, []string{"Named: has 34 gauges; allowed: at most 32"}},
	} {
		_, err := orca.New(c.cfg)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
	}
}

// BenchmarkCall makes one call at a time over a connection in memory, with and without reports.
func BenchmarkCall(b *testing.B) {
	for name, noTrailers := range map[string]bool{"reports": false, "none": true} {
		b.Run(name, func(b *testing.B) {
			s := newServer(b)
			r, err := orca.New(orca.Config{Server: s, Capacity: 40, NoTrailers: noTrailers})
			if err != nil {
				b.Fatal(err)
			}
			backend := newBackend(b, s, r)
			conn := backend.dial(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := backend.call(b, conn, codes.OK); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
