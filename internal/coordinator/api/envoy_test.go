package api

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/meshhealth/meshhealth/coordinator/store"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/nettest"
)

// envoy returns a checker for the endpoint of an Envoy whose health_check_config.hostname is
// hostname.
func (w *world) envoy(service, hostname string) *nettest.EnvoyChecker {
	w.t.Helper()
	dial := w.listener.dialFrom("192.0.2.77")
	c := &nettest.EnvoyChecker{
		Dial:    func() (net.Conn, error) { return dial(w.t.Context(), "") },
		Service: service, Hostname: hostname,
	}
	w.t.Cleanup(c.Close)
	return c
}

// probes fails the test unless a probe has this verdict.
func (w *world) probes(service, hostname string, want nettest.Verdict) {
	w.t.Helper()
	synctest.Wait()
	c := w.envoy(service, hostname)
	if got := c.Probe(); got != want {
		w.t.Errorf("%s at %s: %+v, want %+v", service, hostname, got, want)
	}
	c.Close()
}

// stockAt returns a client of grpc.health.v1 whose calls have an :authority.
func (w *world) stockAt(authority string) healthpb.HealthClient {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///coordinator", grpc.WithAuthority(authority),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(w.listener.dialFrom(home)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return healthpb.NewHealthClient(conn)
}

// listing formats an answer of List.
func listing(r *healthpb.HealthListResponse) string {
	var all []string
	for _, service := range slices.Sorted(maps.Keys(r.GetStatuses())) {
		all = append(all, service+":"+r.GetStatuses()[service].GetStatus().String())
	}
	return strings.Join(all, " ")
}

// TestEnvoyProbesInstances: each status has the answer that the standard service gives, and
// each authority has the answer of its own instance.
func TestEnvoyProbesInstances(t *testing.T) {
	for status, healthy := range map[pb.Status]bool{
		pb.Status_STATUS_SERVING: true, pb.Status_STATUS_DEGRADED: true, pb.Status_STATUS_NOT_SERVING: false,
		pb.Status_STATUS_STARTING: false, pb.Status_STATUS_MAINTENANCE: false, pb.Status_STATUS_DRAINING: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.report(pushed(w.lease("pay/Pay-1.eu"), status))
			w.report(pushed(w.lease("pay/10.0.0.1:9000"), pb.Status_STATUS_NOT_SERVING))
			w.is("pay/Pay-1.eu " + short(status))
			want := nettest.Verdict{Healthy: healthy}
			w.probes("pay", "Pay-1.eu.instance.meshhealth", want)
			w.probes("pay", "Pay-1.eu.Instance.MeshHealth:7070", want)
			w.probes("pay", "%50ay-1%2Eeu.instance.meshhealth", want)
			w.probes("pay", "10.0.0.1%3A9000.instance.meshhealth", nettest.Verdict{})
		})
	}
}

// TestEnvoyOtherAuthorities: the case of a name matters. Every other authority is the name of a
// host, and the answer is about the name in the request.
func TestEnvoyOtherAuthorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.report(pushed(w.lease("pay/A"), pb.Status_STATUS_SERVING))
		w.report(pushed(w.lease("pay/b"), pb.Status_STATUS_NOT_SERVING))
		w.is("pay SERVING") // b was never routable, so it does not count
		w.probes("pay", "a.instance.meshhealth", nettest.Verdict{Code: codes.NotFound, Why: `service "pay/a": not found`})
		w.probes("mail", "A.instance.meshhealth", nettest.Verdict{Code: codes.NotFound, Why: `service "mail/A": not found`})
		for _, host := range []string{"coordinator", "127.0.0.1:7070", "instance.meshhealth", "b.instance.meshhealth.example.com"} {
			w.probes("pay", host, nettest.Verdict{Healthy: true})
			w.probes("pay/b", host, nettest.Verdict{})
		}
	})
}

// TestEnvoyMalformedAuthority: a probe that means an instance never receives the answer of
// something else. The error says what is wrong.
func TestEnvoyMalformedAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.report(pushed(w.lease("pay/a"), pb.Status_STATUS_SERVING))
		for _, c := range []struct{ service, hostname, says string }{
			{"pay", ".instance.meshhealth", ":authority: the instance's name is empty"},
			{"pay", "a.instance.meshhealth.", ":authority: is \"a.instance.meshhealth.\"; allowed: INSTANCE.instance.meshhealth"},
			{"pay", "a.instance.meshhealth:http", ":authority: is "},
			{"pay", "a:1.instance.meshhealth", "as in a%253A1 for a:1"}, // the grpc-message encodes % as %25
			{"pay", "pay/a.instance.meshhealth", ":authority: is "},
			{"pay", "%40eu.instance.meshhealth", ":authority: the instance's name has '@' in it"},
			{"", "a.instance.meshhealth", "service: is empty; allowed: 1 to 255"},
			{"*", "a.instance.meshhealth", "service: has '*' in it"},
			{"pay/a", "a.instance.meshhealth", "service: has '/' in it"},
		} {
			got := w.envoy(c.service, c.hostname).Probe()
			if got.Healthy || got.Code != codes.InvalidArgument || !strings.Contains(got.Why, c.says) {
				t.Errorf("%s at %s: %+v, want %q", c.service, c.hostname, got, c.says)
			}
		}
	})
}

// TestAuthorityOfWatchAndList: Watch follows the instance in the authority. List has the
// instances with this name.
func TestAuthorityOfWatchAndList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		r := w.report(pushed(w.lease("pay/a"), pb.Status_STATUS_SERVING))
		w.report(pushed(w.lease("mail/a"), pb.Status_STATUS_MAINTENANCE))
		w.report(pushed(w.lease("pay/b"), pb.Status_STATUS_NOT_SERVING))
		w.report(pushed(w.lease("web/b"), pb.Status_STATUS_DEGRADED))
		synctest.Wait()
		a := w.stockAt("a.instance.meshhealth")
		watch, err := a.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "pay"})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []pb.Status{pb.Status_STATUS_SERVING, pb.Status_STATUS_NOT_SERVING} {
			r.says(says(s))
			m, err := watch.Recv()
			if err != nil || m.GetStatus().String() != short(s) {
				t.Errorf("%v %v, want %v", m, err, s)
			}
		}
		for authority, want := range map[string]string{
			"a.instance.meshhealth:1": "mail:NOT_SERVING pay:NOT_SERVING",
			"b.instance.meshhealth":   "pay:NOT_SERVING web:SERVING",
			"c.instance.meshhealth":   "",
		} {
			got, err := w.stockAt(authority).List(t.Context(), &healthpb.HealthListRequest{})
			if err != nil || listing(got) != want {
				t.Errorf("%s: %q %v, want %q", authority, listing(got), err, want)
			}
		}
		_, err = w.stockAt("a.instance.meshhealth.").List(t.Context(), &healthpb.HealthListRequest{})
		wantCode(t, err, codes.InvalidArgument, "")
	})
}

// TestEnvoyAcrossARestart: a graceful stop lets a running probe end. Right after the restart
// each instance has the answer from before.
func TestEnvoyAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, hold := store.NewMemory(0), make(chan struct{})
		slow := func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			if strings.HasSuffix(info.FullMethod, ".Health/Check") {
				<-hold
			}
			return handle(ctx, req)
		}
		w := newWorld(t, func(s *setup) { s.store, s.Unary = kept, []grpc.UnaryServerInterceptor{slow} })
		w.report(pushed(w.lease("pay/a"), pb.Status_STATUS_SERVING))
		w.report(pushed(w.lease("pay/b"), pb.Status_STATUS_NOT_SERVING))
		w.lease("pay/c") // it has never served
		synctest.Wait()
		running := map[string]chan nettest.Verdict{}
		for _, name := range []string{"a", "b"} {
			c, verdict := w.envoy("pay", name+".instance.meshhealth"), make(chan nettest.Verdict, 1)
			running[name] = verdict
			go func() { verdict <- c.Probe() }()
		}
		synctest.Wait()
		time.AfterFunc(500*time.Millisecond, func() { close(hold) })
		w.end()
		for name, want := range map[string]nettest.Verdict{"a": {Healthy: true}, "b": {}} {
			if got := <-running[name]; got != want {
				t.Errorf("the running probe of %s: %+v, want %+v", name, got, want)
			}
		}
		if got := w.envoy("pay", "a.instance.meshhealth").Probe(); !got.Network {
			t.Errorf("a probe of a stopped coordinator: %+v", got)
		}
		w = newWorld(t, func(s *setup) { s.store, s.epoch = kept, 78 })
		for name, healthy := range map[string]bool{"a": true, "b": false, "c": false} {
			w.probes("pay", name+".instance.meshhealth", nettest.Verdict{Healthy: healthy})
		}
	})
}
