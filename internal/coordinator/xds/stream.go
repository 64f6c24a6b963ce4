package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// stream is one open stream. One goroutine receives its requests, and one sends its responses.
type stream struct {
	session *session // guarded by Server.mu
	// news has a value if the session may have something to send.
	news    chan struct{}
	receive func() (request, error)
	send    func(*response) error
}

// wake wakes the sender. It never blocks.
func (st *stream) wake() {
	select {
	case st.news <- struct{}{}:
	default:
	}
}

// request is a request of either protocol.
type request struct {
	node  *corepb.Node
	world *discoverypb.DiscoveryRequest
	delta *discoverypb.DeltaDiscoveryRequest
	hash  uint64 // hash of the names in world
}

// StreamAggregatedResources serves the state of the world.
func (s *Server) StreamAggregatedResources(g discoverypb.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.serve(g.Context(), &stream{
		session: &session{},
		receive: func() (request, error) {
			m, err := g.Recv()
			return request{node: m.GetNode(), world: m, hash: hashNames(m.GetResourceNames())}, err
		},
		send: func(r *response) error { return g.Send(r.worldMessage()) },
	})
}

// DeltaAggregatedResources serves the delta protocol.
func (s *Server) DeltaAggregatedResources(g discoverypb.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return s.serve(g.Context(), &stream{
		session: &session{delta: true},
		receive: func() (request, error) {
			m, err := g.Recv()
			return request{node: m.GetNode(), delta: m}, err
		},
		send: func(r *response) error { return g.Send(r.deltaMessage()) },
	})
}

// serve serves one stream until it ends.
func (s *Server) serve(ctx context.Context, st *stream) error {
	st.news = make(chan struct{}, 1)
	release, err := s.limiter.Add(ctx)
	if err != nil {
		return wire.GRPC(err)
	}
	defer release()
	if err := s.open(ctx, st); err != nil {
		return wire.GRPC(err)
	}
	defer s.close(st)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// The receiver ends when this handler returns, because gRPC then ends the stream.
	go func() {
		defer s.receivers.Done()
		defer func() {
			if p := recover(); p != nil {
				stop(panicked{p})
			}
		}()
		if err := s.receiveAll(st); !errors.Is(err, io.EOF) {
			stop(err)
		}
	}()
	err = s.sendAll(ctx, st)
	if p := (panicked{}); errors.As(err, &p) {
		panic(p.value) // the gRPC server handles panics of this goroutine only
	}
	return wire.GRPC(err)
}

// panicked is the error of a receiver that has panicked.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprint(p.value) }

// open registers a stream.
func (s *Server) open(ctx context.Context, st *stream) error {
	may := s.cfg.May(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return domain.ErrStopping
	default:
	}
	s.lastID++
	ses := st.session
	ses.catalog, ses.id, ses.since, ses.maxNames, ses.may = s.catalog, s.lastID, time.Now(), s.cfg.MaxNames, may
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		ses.peer = p.Addr.String()
	}
	s.streams[ses.id] = st
	s.receivers.Add(1)
	return nil
}

func (s *Server) close(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.session.end()
	delete(s.streams, st.session.id)
}

// receiveAll applies the requests of a stream. It returns the error with which the stream ends. The
// error is io.EOF if the client will send no more requests. Such a client is still served.
func (s *Server) receiveAll(st *stream) error {
	for {
		req, err := st.receive()
		if err != nil {
			return err
		}
		if err := s.handle(st, &req); err != nil {
			return err
		}
	}
}

// handle applies one request.
func (s *Server) handle(st *stream, req *request) error {
	v, err := s.apply(st, req)
	if v.latency > 0 {
		s.cfg.Acknowledged(v.latency)
	}
	if v.rejection != nil && !v.repeated {
		s.cfg.Logger.Warn("an xDS client has rejected resources and keeps what it had; correct what the reason names",
			"node", v.rejection.node, "type", v.rejection.url, "names", v.rejection.names, "reason", v.rejection.reason)
	}
	return err
}

// apply applies a request to the session of its stream, and wakes the sender.
func (s *Server) apply(st *stream, req *request) (v verdict, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ses := st.session
	if ses.ended {
		return v, io.EOF
	}
	if ses.node.ID == "" {
		if err := ses.introduce(req.node); err != nil {
			return v, err
		}
	}
	subscribed, bytes := s.catalog.subscribed, s.catalog.bytes
	if req.delta != nil {
		v, err = ses.handleDelta(time.Now(), req.delta)
	} else {
		v, err = ses.handleWorld(time.Now(), req.world, req.hash)
	}
	if v.rejection != nil {
		s.record(*v.rejection)
	}
	if s.catalog.subscribed > max(subscribed, s.cfg.MaxSubscriptions) { // a request that adds nothing is never refused
		err = errors.Join(err, fmt.Errorf("%w: all xDS clients together ask for more than %d resources", domain.ErrLimit, s.cfg.MaxSubscriptions))
	}
	if s.catalog.bytes > max(bytes, s.cfg.MaxBytes) {
		err = errors.Join(err, fmt.Errorf("%w: the names for which all xDS clients together ask need more than %d bytes", domain.ErrLimit, s.cfg.MaxBytes))
	}
	if err != nil {
		ses.end() // now, because the sender may wait for a client that does not read
	}
	for _, woken := range s.wokenStreams() {
		woken.wake()
	}
	return v, err
}

// record adds a rejection to the history. The caller holds s.mu.
func (s *Server) record(r rejection) {
	s.rejections++
	if len(s.history) == maxHistory {
		s.history = append(s.history[:0], s.history[1:]...)
	}
	s.history = append(s.history, r)
}

// sendAll sends what the session of a stream has to send, until ctx or the server ends.
func (s *Server) sendAll(ctx context.Context, st *stream) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.ended:
			return domain.ErrStopping
		default:
		}
		if r := s.next(st); r != nil {
			if err := st.send(r); err != nil {
				return err
			}
			continue
		}
		select {
		case <-st.news:
		case <-ctx.Done():
		case <-s.ended:
		}
	}
}

// next takes the next response of a stream. It returns nil if none is due.
func (s *Server) next(st *stream) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.warm {
		return nil
	}
	r := st.session.next()
	if r != nil {
		s.sent++
	}
	return r
}
