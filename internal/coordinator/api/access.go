package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/audit"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// Authenticate finds the identity of a caller that has no other one. certificates are those that were
// verified, the one of the caller first. authorization is the value of the header of this name. An empty
// identity is a caller without one.
type Authenticate func(ctx context.Context, certificates []*x509.Certificate, authorization string) (identity string, err error)

// Access identifies callers, and has their rights under the current access policy. It is safe for concurrent
// use.
type Access struct {
	authenticate Authenticate // nil if there are no other identities
	socket       string       // path of the unix socket, which local callers may learn; empty if there is none
	audit        Auditor
	current      atomic.Pointer[ruleset]
	learner      atomic.Pointer[learner] // nil if nobody learns

	mu      sync.Mutex
	streams map[*guardedStream]struct{} // open streams
}

// NewAccess returns an Access with a policy. socket is the path of the unix socket of the coordinator. audit
// keeps the audit log; nil means none.
func NewAccess(policy *access.Compiled, socket string, other Authenticate, audit Auditor) *Access {
	if audit == nil {
		audit = noAudit{}
	}
	a := &Access{authenticate: other, socket: socket, audit: audit, streams: map[*guardedStream]struct{}{}}
	a.current.Store(newRuleset(policy))
	return a
}

// Policy returns the current access policy.
func (a *Access) Policy() *access.Compiled { return a.current.Load().Compiled }

// Anonymous returns the rights of a caller without an identity.
func (a *Access) Anonymous() *access.Rights { return a.current.Load().anonymous }

// RightsOf returns the rights of an identity; empty means a caller without one.
func (a *Access) RightsOf(identity string) *access.Rights { return a.current.Load().rights(identity) }

// IdentityOf returns the identity in the verified certificate of a peer. It returns "" if there is none.
func (a *Access) IdentityOf(info credentials.AuthInfo) string {
	chains := verifiedChains(info)
	if chains == nil {
		return ""
	}
	uris, dnsNames := namesOf(chains[0][0])
	identity, err := a.Policy().CertificateIdentity(uris, dnsNames)
	if err != nil {
		return ""
	}
	return identity
}

// Placed returns the proof of the endpoint that the access policy gives to a registered instance whose host name has
// the address ip.
func (a *Access) Placed(id health.ID, spec *health.Spec, ip netip.Addr) health.EndpointProof {
	_, port, _ := net.SplitHostPort(cmp.Or(spec.Traffic.Address, spec.Address))
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return health.ProofMissing
	}
	_, placed := a.RightsOf(spec.Registrant).MayRegister(access.Of(id), access.Endpoint{IP: ip, Port: uint16(number), Peer: spec.Peer})
	return placed.Proof()
}

// rightsKey is the key of the rights in the context of a call whose header says who the caller is. The interceptors put
// them there, so that a token is hashed once for each call. Other callers are known by their connection.
type rightsKey struct{}

// Rights returns the rights of the caller of a call. A caller whose identity is not accepted has none;
// the interceptors have refused its call before.
func (a *Access) Rights(ctx context.Context) *access.Rights {
	if r, ok := ctx.Value(rightsKey{}).(*access.Rights); ok {
		return r
	}
	r, err := a.identify(ctx)
	if err != nil {
		return &access.Rights{}
	}
	return r
}

// identify returns the rights of the caller of a call. It returns an error if the caller shows an identity
// that is not accepted. Of the metadata, only authorization says who the caller is.
//
// The :authority is not compared with the names of the coordinator, not even on loopback. The HTTP server makes
// this comparison, because a page in a browser can send requests to a name that it has made loopback. A browser
// cannot send the requests of gRPC. Clients of gRPC may use any :authority, such as the name of a proxy.
func (a *Access) identify(ctx context.Context) (*access.Rights, error) {
	rules := a.current.Load()
	p, ok := peer.FromContext(ctx)
	if !ok {
		return rules.anonymous, nil
	}
	conn := connOf(p)
	shown := conn.judgedBy(rules, p)
	if shown.err != nil {
		return nil, shown.err
	}
	authorization := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(authorization) == 0 && (a.authenticate == nil || shown.rights.Identity() != "") {
		return shown.rights, nil
	}
	return a.identifyHeader(ctx, rules, p, shown.rights, authorization)
}

// identifyHeader returns the rights of a caller that has sent the header authorization, or for which the
// function of the embedding program decides.
func (a *Access) identifyHeader(ctx context.Context, rules *ruleset, p *peer.Peer, shown *access.Rights, values []string) (*access.Rights, error) {
	if len(values) > 1 {
		return nil, refuseIdentity("authorization", "is given %d times; allowed: once", len(values))
	}
	value := ""
	if len(values) == 1 {
		value = values[0]
		conn := connOf(p)
		if chains := verifiedChains(p.AuthInfo); chains != nil && shown.Identity() != "" {
			return nil, refuseIdentity("authorization", "is given beside the certificate of %s; allowed: one identity for each connection", shown.Identity())
		}
		if !conn.isPrivate(p) {
			return nil, refuseIdentity("authorization", "is sent on a plaintext connection; allowed: over TLS, or over the unix socket%s", a.socketHint())
		}
		if token, is := bearer(value); is {
			if identity, known := rules.TokenIdentity(sha256.Sum256([]byte(token))); known {
				return rules.rights(identity), nil
			}
		}
	}
	if a.authenticate != nil {
		var certificates []*x509.Certificate
		if chains := verifiedChains(p.AuthInfo); chains != nil {
			certificates = chains[0]
		}
		identity, err := a.authenticate(ctx, certificates, value)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", domain.ErrIdentity, err)
		case identity != "":
			return rules.rights(access.External(wire.CleanTo(identity, access.MaxPattern))), nil
		case value == "":
			return shown, nil
		}
	}
	return nil, refuseIdentity("authorization", "has a token that the access policy does not know; allowed: Bearer TOKEN, where tokens of the policy has the SHA-256 of TOKEN")
}

func (a *Access) socketHint() string {
	if a.socket == "" {
		return ""
	}
	return " " + a.socket
}

// bearer returns the token in a value of the header authorization.
func bearer(value string) (token string, is bool) {
	scheme, token, _ := strings.Cut(value, " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

func refuseIdentity(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", domain.ErrIdentity, field, fmt.Sprintf(format, args...))
}

// connOf returns the connection of a caller, or nil if it was not accepted by a listener of Peers.
func connOf(p *peer.Peer) *Conn {
	if at, ok := p.Addr.(peerAddr); ok {
		return at.conn
	}
	return nil
}

// judgedBy returns what a policy says of the identity that the connection itself has shown: a verified
// certificate, or the user of the process at the other end of a unix socket. It is computed once for each
// policy.
func (c *Conn) judgedBy(rules *ruleset, p *peer.Peer) *judged {
	if c == nil {
		return &judged{rules: rules, rights: rules.anonymous}
	}
	if j := c.judged.Load(); j != nil && j.rules == rules {
		return j
	}
	j := &judged{rules: rules}
	identity := c.user
	if chains := verifiedChains(p.AuthInfo); chains != nil {
		identity, j.err = rules.CertificateIdentity(namesOf(chains[0][0]))
		if j.err != nil {
			j.err = fmt.Errorf("%w: %w", domain.ErrIdentity, j.err)
		}
	}
	j.rights = rules.rights(identity)
	c.judged.Store(j)
	return j
}

// isPrivate reports whether nobody else can read what is sent on the connection.
func (c *Conn) isPrivate(p *peer.Peer) bool {
	return c != nil && c.unix || p.AuthInfo != nil && p.AuthInfo.AuthType() == "tls"
}

// isLocal reports whether the caller is on this machine.
func isLocal(ctx context.Context) bool {
	return callerAddr(ctx).IsLoopback()
}

// unary refuses a caller whose identity is not accepted. It tells local callers where the unix socket is.
func (a *Access) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	rights, err := a.identify(ctx)
	if err != nil {
		return nil, a.refuseIdentity(ctx, err)
	}
	resp, err := handler(withRights(ctx, rights), req)
	if err != nil && a.socket != "" && isLocal(ctx) {
		err = wire.WithSocket(err, a.socket)
	}
	return resp, err
}

// withRights returns a context with the rights of a caller, if its header says who it is.
func withRights(ctx context.Context, rights *access.Rights) context.Context {
	if len(metadata.ValueFromIncomingContext(ctx, "authorization")) == 0 {
		return ctx
	}
	return context.WithValue(ctx, rightsKey{}, rights)
}

// endsWithin is the time in which the handler of a stream must return after its caller has lost rights. Then
// the call is ended without it.
const endsWithin = 500 * time.Millisecond

// refuseIdentity notes that a caller has shown an identity that is not accepted, and returns the gRPC error.
func (a *Access) refuseIdentity(ctx context.Context, err error) error {
	r := recordOf(ctx, &access.Rights{}, "call", access.Name{})
	r.Outcome, r.Detail = audit.Unauthenticated, err.Error()
	if method, ok := grpc.Method(ctx); ok {
		r.Object = method
	}
	a.audit.Note(r)
	return wire.GRPC(err)
}

// stream refuses a caller whose identity is not accepted. It ends the stream when the rights of the caller
// change.
func (a *Access) stream(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	rights, err := a.identify(ss.Context())
	if err != nil {
		return a.refuseIdentity(ss.Context(), err)
	}
	g := &guardedStream{ServerStream: ss, rights: rights, ended: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancel(context.WithValue(withRights(ss.Context(), rights), streamKey{}, g))
	defer g.cancel()
	a.mu.Lock()
	a.streams[g] = struct{}{}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.streams, g)
		a.mu.Unlock()
		close(g.ended)
	}()
	if !a.Rights(ss.Context()).Equal(rights) { // Set may have run before the stream was in the set
		return wire.GRPC(errRightsChanged)
	}
	err = handler(srv, g)
	switch {
	case g.lost.Load():
		return wire.GRPC(errRightsChanged)
	case err != nil && a.socket != "" && isLocal(ss.Context()):
		return wire.WithSocket(err, a.socket)
	}
	return err
}

// Set replaces the access policy. It ends the streams of all callers whose rights differ, and returns how
// many. When it returns, no message is sent on them any more.
func (a *Access) Set(policy *access.Compiled) (ended int) {
	a.current.Store(newRuleset(policy))
	lost := slices.DeleteFunc(a.open(), func(g *guardedStream) bool {
		return a.Rights(g.ServerStream.Context()).Equal(g.rights)
	})
	for _, g := range lost {
		g.lost.Store(true)
		g.cancel()
	}
	late := time.NewTimer(endsWithin)
	defer late.Stop()
	expired := false
	for _, g := range lost {
		if !expired {
			select {
			case <-g.ended:
				continue
			case <-late.C:
				expired = true
			}
		}
		g.end()
	}
	return len(lost)
}

// open returns the open streams.
func (a *Access) open() []*guardedStream {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.streams))
}

// MayScrape returns an error if the caller in ctx may not read the metrics, which have the names of all
// services and instances.
func (a *Access) MayScrape(ctx context.Context) error {
	rights, err := a.identify(ctx)
	if err != nil {
		return err
	}
	if l := a.learning(); l != nil {
		l.read(rights, access.Everything, access.Status)
	}
	return rights.CheckDetail(access.Everything, access.Status)
}

// callerAddr returns the IP address of a caller. It returns the zero Addr if the address of
// the caller is not an IP address.
func callerAddr(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return netip.Addr{}
	}
	at, err := netip.ParseAddrPort(p.Addr.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
