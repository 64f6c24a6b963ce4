package main

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// The bounds of what the command doctor asks.
const (
	clockSamples = 3
	maxExplained = 100
)

// facts are what the command doctor has found out. Function diagnose judges them.
type facts struct {
	address string
	name    string    // service or instance to examine; empty for everything
	now     time.Time // local time

	connectTook time.Duration
	connectErr  error // why no TCP connection is possible
	loopback    bool
	plaintext   bool
	certificate *x509.Certificate // certificate of the coordinator; nil with plaintext
	ownExpires  time.Time         // time at which the certificate of the caller expires; zero if it has none
	callErr     error             // error for the user, of the first call
	callCode    codes.Code        // code of callErr

	clock      time.Duration // the coordinator's clock minus the local clock
	clockBound time.Duration // largest error of clock; 0 if clock is not known

	state     *pb.GetCoordinatorResponse // nil if stateCode is not OK
	stateCode codes.Code
	locate    codes.Code // result of a call that needs the right to see addresses

	services  int
	instances []*pb.Health                   // all instances to examine
	listErr   error                          // error for the user
	explained map[string]*pb.ExplainResponse // by name; at most maxExplained
}

// examine finds out everything that the doctor judges. It returns an error only if a file of the
// command line cannot be used. A failed call is a fact.
func examine(ctx context.Context, t *target, name string, now func() time.Time) (*facts, error) {
	f := &facts{
		address: t.address, name: name, now: now(), plaintext: t.plaintext(), loopback: isLoopback(t.address),
		explained: map[string]*pb.ExplainResponse{},
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if f.connect(ctx); f.connectErr != nil {
		return f, nil
	}
	return f, t.ask(ctx, func(ctx context.Context, conn *connection) error {
		f.ownExpires = conn.expires
		if f.call(ctx, conn, now); f.callErr != nil {
			return nil
		}
		f.readState(ctx, conn)
		f.list(ctx, conn)
		f.explain(ctx, conn)
		return nil
	})
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// connect opens and closes one TCP connection.
func (f *facts) connect(ctx context.Context) {
	begin := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.address)
	if f.connectTook, f.connectErr = time.Since(begin), err; err == nil {
		_ = c.Close()
	}
}

// call asks the coordinator for its own health, which everybody may read. The answer has the time of
// the coordinator's clock. Of several calls the fastest has the smallest error.
func (f *facts) call(ctx context.Context, conn *connection, now func() time.Time) {
	for range clockSamples {
		var p peer.Peer
		begin, start := time.Now(), now()
		resp, err := conn.health.Check(ctx, &pb.CheckRequest{}, grpc.Peer(&p))
		took := time.Since(begin)
		if err != nil {
			f.callErr, f.callCode = conn.callError(err), status.Code(err)
			return
		}
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
			f.certificate = info.State.PeerCertificates[0]
		}
		at := resp.GetHealth().GetAt()
		if bound := max(took/2, 1); at != nil && (f.clockBound == 0 || bound < f.clockBound) {
			f.clock, f.clockBound = at.AsTime().Sub(start.Add(took/2)), bound
		}
	}
}

// readState reads the state of the coordinator. It also finds out whether the caller may see
// addresses: the answer for a service that does not exist differs for a caller that may not.
func (f *facts) readState(ctx context.Context, conn *connection) {
	state, err := conn.admin.GetCoordinator(ctx, &pb.GetCoordinatorRequest{})
	if f.stateCode = status.Code(err); err == nil {
		f.state = state
	}
	_, err = conn.admin.ListRoutes(ctx, &pb.ListRoutesRequest{Service: "meshhealth-doctor", PageSize: 1})
	f.locate = status.Code(err)
}

// list reads the instances to examine.
func (f *facts) list(ctx context.Context, conn *connection) {
	id := health.ParseID(f.name)
	s := &pb.Selector{}
	if f.name != "" && id.Service != health.MeshName {
		s.Services = []string{id.Service}
	}
	for h, err := range conn.list(ctx, s) {
		switch {
		case err != nil:
			f.listErr = err
			return
		case h.GetInstance() == "" && h.GetService() != "" && h.GetService() != health.MeshName:
			f.services++
		case h.GetInstance() == "", isZone(h), !examines(id, h):
		default:
			f.instances = append(f.instances, h)
		}
	}
}

// examines reports whether the name on the command line includes an instance.
func examines(id health.ID, h *pb.Health) bool {
	zone, isZone := id.Zone()
	return id.Instance == "" || id.Instance == h.GetInstance() || isZone && zone == h.GetZone()
}

// explain asks for explanations of instances, of those first that are not well.
func (f *facts) explain(ctx context.Context, conn *connection) {
	if f.stateCode != codes.OK {
		return
	}
	for _, well := range []bool{false, true} {
		for _, h := range f.instances {
			if isWell(h) != well {
				continue
			}
			if len(f.explained) == maxExplained {
				return
			}
			resp, err := conn.admin.Explain(ctx, &pb.ExplainRequest{Name: nameOf(h)})
			if status.Code(err) == codes.NotFound {
				continue // it was removed a moment ago
			}
			if err != nil {
				return
			}
			f.explained[nameOf(h)] = resp
		}
	}
}
