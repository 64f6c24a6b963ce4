package follow

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
)

// reply records the headers, trailers and messages that one call or stream received. With
// them, classifyCall finds out whether the target sent an error or the coordinator's own client
// made the error.
//
// withReply puts the reply into the context of a call. The stats handler of the connection takes
// the reply from the context and records the events of the call in it. Calls that share a reply
// must not overlap. The reply is cleared when a call begins, and when gRPC or the retrier begins
// another attempt. The methods may be called concurrently.
type reply struct {
	mu  sync.Mutex
	got received
}

// received is a copy of what a reply contained at one time.
type received struct {
	conn   *grpc.ClientConn // connection of the call; nil if the call has not begun
	stream bool             // the call is a stream, whose reply may have any number of messages
	began  time.Time
	// sent is the time at which the call was sent. It is zero if the call was not sent, for
	// example because the target allows no further stream.
	sent time.Time
	// header holds the received header. It is nil if no header came, for example in a reply
	// that consists of trailers only.
	header metadata.MD
	// trailers is true if gRPC trailers ended the stream. It is false if an HTTP error, a reset
	// or the loss of the connection ended the stream.
	trailers bool
	trailer  metadata.MD
	messages int
}

type replyKey struct{}

// withReply returns a context for a call. The headers, trailers and messages that the call
// receives are recorded in r.
func withReply(ctx context.Context, r *reply) context.Context {
	return context.WithValue(ctx, replyKey{}, r)
}

// replyOf returns the reply that the context of a call carries, or nil.
func replyOf(ctx context.Context) *reply {
	r, _ := ctx.Value(replyKey{}).(*reply)
	return r
}

// received returns what the call has received so far. The caller must not change the maps.
func (r *reply) received() received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// restore replaces the content of r by earlier, which r.received has returned before. r may be
// nil: then restore does nothing.
func (r *reply) restore(earlier received) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = earlier
}

// proxied reports whether headers or trailers of the reply name a proxy.
func (r *reply) proxied() bool {
	got := r.received()
	return got.has("via") || got.byEnvoy() || got.hasEnvoyKey()
}

// replyRecorder is the stats handler of a connection. If withReply has put a reply into the
// context of a call, replyRecorder records the events of the call in this reply.
type replyRecorder struct {
	conn *grpc.ClientConn // connection whose calls are recorded; it is set before the first call
}

// TagRPC implements stats.Handler. It adds the reply to the context once more, so that HandleRPC
// finds the reply before all values that gRPC has added to the context. This is faster.
func (h *replyRecorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if r := replyOf(ctx); r != nil {
		return withReply(ctx, r)
	}
	return ctx
}

// HandleRPC implements stats.Handler.
func (h *replyRecorder) HandleRPC(ctx context.Context, event stats.RPCStats) {
	r := replyOf(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch event := event.(type) {
	case *stats.Begin:
		r.got = received{conn: h.conn, stream: event.IsServerStream, began: event.BeginTime}
	case *stats.OutHeader:
		r.got.sent = time.Now()
	case *stats.InHeader:
		r.got.header = usedMetadata(event.Header)
	case *stats.InPayload:
		r.got.messages++
	case *stats.InTrailer:
		r.got.trailers, r.got.trailer = true, usedMetadata(event.Trailer)
	}
}

// TagConn implements stats.Handler.
func (h *replyRecorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

// HandleConn implements stats.Handler.
func (h *replyRecorder) HandleConn(context.Context, stats.ConnStats) {}

// noMetadata is an empty map, which is never changed. All replies without the metadata keys that
// this package reads share it.
var noMetadata = metadata.MD{}

// usedMetadata returns only the keys of md that this package reads, so that an open stream
// does not keep all metadata in memory.
func usedMetadata(md metadata.MD) metadata.MD {
	kept := noMetadata
	for key, values := range md {
		if key == "via" || key == "server" || strings.HasPrefix(key, "x-envoy-") || strings.HasPrefix(key, "meshhealth-") {
			if len(kept) == 0 {
				kept = metadata.MD{}
			}
			kept[key] = values
		}
	}
	return kept
}

// waitsForRoom reports whether the call was not sent on a ready connection, because the target
// allows no further stream. It also returns true for a call that was sent, if the call waited
// longer to be sent than it has waited for its answer.
func (g *received) waitsForRoom() bool {
	if g.conn == nil || g.conn.GetState() != connectivity.Ready {
		return false
	}
	return g.sent.IsZero() || g.sent.Sub(g.began) > time.Since(g.sent)
}

func (g *received) has(key string) bool {
	return len(g.header[key]) > 0 || len(g.trailer[key]) > 0
}

// fromUpstream reports whether the proxy Envoy marks the answer as an answer of the target. Envoy
// does not mark its own answers.
func (g *received) fromUpstream() bool { return g.has("x-envoy-upstream-service-time") }

// byEnvoy reports whether the proxy Envoy has sent the answer. It may be an answer of Envoy itself,
// or an answer of the target that Envoy has forwarded.
func (g *received) byEnvoy() bool {
	envoy := func(server string) bool { return server == "envoy" || server == "istio-envoy" }
	return slices.ContainsFunc(g.header["server"], envoy) || slices.ContainsFunc(g.trailer["server"], envoy)
}

func (g *received) hasEnvoyKey() bool {
	for _, md := range []metadata.MD{g.header, g.trailer} {
		for key := range maps.Keys(md) {
			if strings.HasPrefix(key, "x-envoy-") {
				return true
			}
		}
	}
	return false
}

// byProxy reports whether a proxy may have made the status. It returns true if the reply has the
// metadata key "via", even if Envoy marks the answer as an answer of the target.
func (g *received) byProxy() bool {
	return g.has("via") || g.byEnvoy() && !g.fromUpstream()
}
