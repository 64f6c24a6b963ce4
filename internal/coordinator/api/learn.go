package api

import (
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

const (
	// learnEvery is the interval at which a LearnAccess stream sends what is new.
	learnEvery = time.Second
	// againEvery says how often, in intervals of learnEvery, open streams and registrations are observed again.
	againEvery = 10
)

var errLearning = fmt.Errorf("%w: somebody else learns the access policy; allowed: one at a time", domain.ErrLimit)

// LearnAccess reports what callers do. Only one stream may be open.
func (a adminService) LearnAccess(req *pb.LearnAccessRequest, stream grpc.ServerStreamingServer[pb.LearnAccessResponse]) error {
	lasting, networks, err := wire.LearnAccessRequest(req)
	if err != nil {
		return err
	}
	ctx, name := stream.Context(), access.Everything
	rights := a.cfg.Access.Rights(ctx)
	rule, admin := rights.Allows(access.VerbAdmin, name)
	if !admin {
		return a.cfg.check(ctx, access.VerbAdmin, name)
	}
	if err := rights.CheckDetail(name, access.Evidence); err != nil {
		return wire.GRPC(a.cfg.refuse(ctx, rights, readEvidence, name, err))
	}
	l := newLearner(a.cfg, networks)
	if !a.cfg.Access.learner.CompareAndSwap(nil, l) {
		return wire.GRPC(errLearning)
	}
	defer a.cfg.Access.learner.Store(nil)
	err = a.cfg.audited(ctx, access.VerbAdmin, name, rule, fmt.Sprintf("learn the access policy for %v", lasting), func() error { return nil })
	if err != nil {
		return wire.GRPC(err)
	}
	if a.cfg.XDS != nil {
		a.cfg.XDS.AskAgain()
	}
	return wire.GRPC(l.serve(stream, lasting, a.stopping))
}

// serve sends what the learner observes until the time is up. Then it returns nil.
func (l *learner) serve(stream grpc.ServerStreamingServer[pb.LearnAccessResponse], lasting time.Duration, stopping <-chan struct{}) error {
	policy := l.cfg.Access.Policy().Policy()
	if err := stream.Send(&pb.LearnAccessResponse{TrustDomain: policy.TrustDomain, AllowDnsNames: policy.AllowDNSNames}); err != nil {
		return err
	}
	end, ticker := time.NewTimer(lasting), time.NewTicker(learnEvery)
	defer end.Stop()
	defer ticker.Stop()
	for n := 0; ; n++ {
		if n%againEvery == 0 {
			l.again()
		}
		if err := l.send(stream); err != nil {
			return err
		}
		select {
		case <-ticker.C:
			continue
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-stopping:
		case <-end.C:
			l.again()
			return l.send(stream)
		}
		_ = l.send(stream) // the client gets the error of the stop in any case
		return domain.ErrStopping
	}
}

// send sends what is new, in messages of about wire.ChunkBytes. It always sends a message, so that a client knows
// that everything from before was sent.
func (l *learner) send(stream grpc.ServerStreamingServer[pb.LearnAccessResponse]) error {
	l.mu.Lock()
	observed, instances := l.set.Take()
	m := &pb.LearnAccessResponse{Dropped: l.set.Dropped}
	l.mu.Unlock()
	size := 0
	makeRoom := func(part proto.Message) (err error) {
		if size += proto.Size(part); size > wire.ChunkBytes {
			err = stream.Send(m)
			m, size = &pb.LearnAccessResponse{Dropped: m.GetDropped()}, proto.Size(part)
		}
		return err
	}
	for identity, n := range instances {
		c := &pb.AccessCaller{Identity: identity, Instances: uint32(n)}
		for _, h := range l.cfg.Access.Policy().TokenValues(identity) {
			c.TokenHashes = append(c.TokenHashes, h[:])
		}
		if err := makeRoom(c); err != nil {
			return err
		}
		m.Callers = append(m.Callers, c)
	}
	for i := range observed {
		u := wire.AccessUse(&observed[i])
		if err := makeRoom(u); err != nil {
			return err
		}
		m.Uses = append(m.Uses, u)
	}
	return stream.Send(m)
}
