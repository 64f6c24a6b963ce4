package coordinator_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/client"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/health/feed"
)

var (
	allProtocols   = []health.Protocol{health.ProtocolMeshhealth, health.ProtocolWatch, health.ProtocolCheck}
	stockProtocols = allProtocols[1:]
)

func rowRenew(t *testing.T) {
	bubble(t, "Renew", func(r *rig) {
		leave := r.join(client.Instance{}) // there is no listener at its address
		r.after(5 * time.Second)
		joined := time.Now()
		r.after(10 * time.Minute)
		r.only("pay/a", joined, "NOT_SERVING refused")
		leave()
		r.after(leaseTTL)
		r.is("pay/a", "NOT_SERVING lease_expired")
	})
	bubble(t, "Report", func(r *rig) {
		l := r.lease(&pb.Registration{})
		r.after(5 * time.Second)
		r.is("pay/a", "NOT_SERVING refused")
		stream, err := r.registry.Report(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		began := time.Now()
		for range 60 {
			if err := stream.Send(&pb.ReportRequest{
				Service: l.GetService(), Instance: l.GetInstance(), LeaseId: l.GetLeaseId(), Status: pb.Status_STATUS_SERVING,
			}); err != nil {
				r.t.Fatal(err)
			}
			r.after(10 * time.Second)
		}
		r.only("pay/a", began.Add(time.Millisecond), "SERVING ok")
		if _, err := stream.CloseAndRecv(); err != nil {
			r.t.Error(err)
		}
		r.after(leaseTTL)
		r.is("pay/a", "NOT_SERVING lease_expired")
	})
}

func rowProven(t *testing.T) {
	for _, p := range allProtocols {
		bubble(t, p.String(), func(r *rig) {
			s, kill := r.embedded(at, "pay")
			leave := r.join(client.Instance{Feed: s.Feed(), Protocol: p})
			r.after(15 * time.Second)
			leave()
			left := time.Now()
			r.after(10 * time.Minute) // the answers alone renew the lease
			r.only("pay/a", left, "SERVING ok")
			r.set(s, health.NotServing)
			r.after(10 * time.Second)
			r.is("pay/a", "NOT_SERVING failed")
			kill()
			r.after(leaseTTL)
			r.is("pay/a", "NOT_SERVING lease_expired")
		})
	}
}

func rowSession(t *testing.T) {
	for _, p := range stockProtocols {
		bubble(t, p.String(), func(r *rig) {
			s, _ := r.stock(at, []string{"pay"})
			leave := r.join(client.Instance{Protocol: p})
			r.after(time.Minute)
			leave()
			left := time.Now()
			r.after(10 * time.Minute)
			r.only("pay/a", left, "SERVING ok")
			s.SetServingStatus("pay", isNotServing)
			r.after(15 * time.Second)
			r.is("pay/a", "NOT_SERVING failed")
			s.SetServingStatus("pay", isServing)
			r.after(15 * time.Second)
			r.is("pay/a", "SERVING ok")
			// This is another session, without a Renew.
			r.net.Cut(at)
			r.after(15 * time.Second)
			r.is("pay/a", "SERVING ok")
			r.after(leaseTTL)
			r.is("pay/a", "NOT_SERVING lease_expired")
		})
	}
	bubble(t, "through a proxy", func(r *rig) {
		s := newStub()
		s.answers(func(ctx context.Context, _ string) (healthpb.HealthCheckResponse_ServingStatus, error) {
			return isServing, grpc.SetHeader(ctx, metadata.Pairs("via", "1.1 proxy"))
		})
		r.serve(at, s.register)
		leave := r.join(client.Instance{})
		r.after(time.Minute)
		r.is("pay/a", "SERVING ok")
		leave()
		r.after(leaseTTL)
		r.is("pay/a", "NOT_SERVING lease_expired")
	})
}

func rowUnproven(t *testing.T) {
	for _, p := range stockProtocols {
		bubble(t, p.String(), func(r *rig) {
			s, _ := r.stock(at, []string{"pay"})
			r.lease(&pb.Registration{Protocol: p.String()})
			for _, turn := range []struct {
				says healthpb.HealthCheckResponse_ServingStatus
				want string
			}{
				{isServing, "SERVING ok"}, {isNotServing, "NOT_SERVING failed"}, {isServing, "SERVING ok"},
			} {
				s.SetServingStatus("pay", turn.says)
				r.after(9 * time.Second)
				r.is("pay/a", turn.want)
			}
			r.after(leaseTTL - 27*time.Second)
			ended := time.Now()
			for range 5 {
				r.is("pay/a", "NOT_SERVING lease_expired")
				s.SetServingStatus("pay", isNotServing)
				r.after(20 * time.Second)
				s.SetServingStatus("pay", isServing)
				r.after(20 * time.Second)
			}
			r.only("pay/a", ended, "NOT_SERVING lease_expired")
		})
	}
}

func rowStatic(t *testing.T) {
	for _, p := range stockProtocols {
		bubble(t, p.String(), func(r *rig) {
			_, kill := r.stock(at, []string{"pay"})
			r.static(p)
			r.after(5 * time.Second)
			up := time.Now()
			r.after(time.Hour)
			r.only("pay/a", up, "SERVING ok")
			kill()
			r.after(10 * time.Second)
			r.is("pay/a", "NOT_SERVING refused")
			// Another process of another kind takes over; its answers hold now.
			s, _ := r.embedded(at, "pay")
			r.after(leaseTTL)
			r.is("pay/a", "SERVING ok")
			r.set(s, health.NotServing)
			r.after(15 * time.Second)
			r.is("pay/a", "NOT_SERVING failed")
		})
	}
}

func rowStranger(t *testing.T) {
	for _, p := range allProtocols {
		bubble(t, p.String()+", a client that cannot report", func(r *rig) {
			own, kill := r.embedded(at, "pay")
			l := r.lease(&pb.Registration{Protocol: p.String(), Key: own.Feed().Key().Bytes(), Proves: true})
			r.after(5 * time.Second)
			r.is("pay/a", "SERVING ok")
			kill()
			other, _ := r.embedded(at, "pay")
			r.lease(&pb.Registration{Service: "pay", Instance: "b", Protocol: p.String(), Key: other.Feed().Key().Bytes(), Proves: true})
			taken := time.Now()
			r.renewing(l, 10*time.Minute)
			r.never("pay/a", taken, health.NotServing) // one such answer does not change the status
			r.is("pay/a", "SERVING ok unconfirmed")
			r.explained("pay/a", "Another process than the registered one answers at "+at)
			if !r.renew(l) {
				r.t.Error("its client is not asked to report")
			}
			r.only("pay/b", taken.Add(5*time.Second), "SERVING ok")
			if n := r.state().GetFollowers()[map[health.Protocol]string{
				health.ProtocolMeshhealth: "meshhealth-watch", health.ProtocolWatch: "grpc-watch", health.ProtocolCheck: "grpc-poll",
			}[p]]; n != 1 {
				r.t.Errorf("%d calls of this protocol, want pay/b's alone", n)
			}
			// The status of the other process has no effect.
			r.set(other, health.NotServing)
			r.renewing(l, time.Minute)
			r.is("pay/a", "SERVING ok unconfirmed")
			r.is("pay/b", "NOT_SERVING failed")
			r.after(leaseTTL)
			r.is("pay/a", "NOT_SERVING lease_expired")
		})
	}
	bubble(t, "a connection of its own", func(r *rig) {
		a, _ := r.embedded(at, "pay")
		foreign := feed.NewKey()
		r.lease(&pb.Registration{Key: a.Feed().Key().Bytes(), Proves: true})
		r.after(5 * time.Second)
		dials := r.dialled(at)
		l := r.lease(&pb.Registration{Service: "pay", Instance: "b", Key: foreign.Bytes(), Proves: true})
		r.renewing(l, time.Minute)
		if n := r.dialled(at) - dials; n == 0 {
			r.t.Error("no connection of its own")
		}
		r.only("pay/a", r.started.Add(6*time.Second), "SERVING ok")
		r.is("pay/b", "STARTING starting unconfirmed")
	})
	bubble(t, "a client that reports", func(r *rig) {
		own, _ := r.embedded(at, "pay")
		r.join(client.Instance{Feed: own.Feed()})
		r.after(5 * time.Second)
		r.net.Kill(at) // only its port: the process, its client and its feed live
		r.embedded(at, "pay")
		taken := time.Now()
		r.after(2 * time.Minute)
		r.never("pay/a", taken, health.NotServing)
		r.is("pay/a", "SERVING ok")
		r.explained("pay/a", "It pushes its status")
		r.set(own, health.Degraded)
		r.after(time.Second)
		r.is("pay/a", "DEGRADED warned")
	})
}

// strictNames is a stock server that answers a Watch of an unknown name with NOT_FOUND.
type strictNames struct{ *stock.Server }

func (s strictNames) Watch(r *healthpb.HealthCheckRequest, stream watchStream) error {
	if _, err := s.Check(stream.Context(), r); err != nil {
		return status.Error(codes.NotFound, "no such name")
	}
	return s.Server.Watch(r, stream)
}

// checkOnly is a stock server without Watch.
type checkOnly struct{ *stock.Server }

func (checkOnly) Watch(*healthpb.HealthCheckRequest, watchStream) error {
	return status.Error(codes.Unimplemented, "there is no Watch")
}

// naming are servers that answer differently for an unknown name.
var naming = map[string]func(*stock.Server) healthpb.HealthServer{
	"watched": func(s *stock.Server) healthpb.HealthServer { return s },
	"strict":  func(s *stock.Server) healthpb.HealthServer { return strictNames{s} },
	"polled":  func(s *stock.Server) healthpb.HealthServer { return checkOnly{s} },
}

// named runs such a server at an address.
func (r *rig) named(wrap func(*stock.Server) healthpb.HealthServer, names ...string) (*stock.Server, func()) {
	s := stock.NewServer()
	for _, n := range names {
		s.SetServingStatus(n, isServing)
	}
	return s, r.serve(at, func(g *grpc.Server) { healthpb.RegisterHealthServer(g, wrap(s)) })
}

func rowNameUnknown(t *testing.T) {
	for what, wrap := range naming {
		bubble(t, what, func(r *rig) {
			s, _ := r.named(wrap)
			r.static(health.ProtocolAuto)
			r.after(5 * time.Minute)
			r.is("pay/a", "SERVING ok")
			s.SetServingStatus("", isNotServing)
			r.after(5 * time.Minute)
			r.is("pay/a", "NOT_SERVING failed")
			s.SetServingStatus("", isServing)
			r.after(5 * time.Minute)
			r.is("pay/a", "SERVING ok")
			// As soon as the name is known, the status of "" has no effect.
			s.SetServingStatus("pay", isNotServing)
			r.after(5 * time.Minute)
			r.is("pay/a", "NOT_SERVING failed")
			s.SetServingStatus("", isNotServing)
			s.SetServingStatus("pay", isServing)
			r.after(5 * time.Minute)
			r.is("pay/a", "SERVING ok")
		})
	}
	bubble(t, "embedded", func(r *rig) {
		s, _ := r.embedded(at, "cart")
		r.static(health.ProtocolAuto)
		r.after(5 * time.Second)
		r.is("pay/a", "SERVING ok")
		r.set(s, health.NotServing)
		r.after(5 * time.Second)
		r.is("pay/a", "NOT_SERVING failed")
	})
}

func rowNameGone(t *testing.T) {
	for what, wrap := range naming {
		for _, leased := range []bool{false, true} {
			kind := map[bool]string{false: ", static", true: ", leased"}[leased]
			bubble(t, what+kind, func(r *rig) {
				_, kill := r.named(wrap, "pay")
				if leased {
					r.join(client.Instance{})
				} else {
					r.static(health.ProtocolAuto)
				}
				r.after(15 * time.Second)
				r.is("pay/a", "SERVING ok")
				kill() // it is deployed again, without its name
				_, kill = r.named(wrap)
				r.after(15 * time.Second)
				again := time.Now()
				r.after(30 * time.Minute)
				r.only("pay/a", again, "UNKNOWN unknown_name")
				kill()
				r.named(wrap, "pay")
				r.after(30 * time.Second)
				r.is("pay/a", "SERVING ok")
			})
		}
	}
	bubble(t, "on the same connection", func(r *rig) {
		s, _ := r.stock(at, []string{"pay"})
		r.static(health.ProtocolAuto)
		r.after(15 * time.Second)
		r.is("pay/a", "SERVING ok")
		s.SetServingStatus("pay", healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
		r.after(time.Second)
		gone := time.Now()
		r.after(10 * time.Minute)
		r.only("pay/a", gone, "UNKNOWN unknown_name")
	})
	bubble(t, "embedded", func(r *rig) {
		_, kill := r.embedded(at, "pay")
		r.static(health.ProtocolAuto)
		r.after(15 * time.Second)
		kill()
		r.embedded(at, "cart")
		r.after(15 * time.Second)
		again := time.Now()
		r.after(10 * time.Minute)
		r.only("pay/a", again, "UNKNOWN unknown_name")
	})
}
