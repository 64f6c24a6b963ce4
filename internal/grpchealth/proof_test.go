package grpchealth

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// asked calls every method that answers with a status, and passes the header and the error
// of each answer to told.
func (w *world) asked(ctx context.Context, name string, told func(method string, header metadata.MD, err error)) {
	var header metadata.MD
	_, err := w.mesh.Check(ctx, &pb.CheckRequest{Service: name}, grpc.Header(&header))
	told("meshhealth Check", header, err)
	_, err = w.stock.Check(ctx, &healthpb.HealthCheckRequest{Service: name}, grpc.Header(&header))
	told("stock Check", header, err)
	mesh, err := w.mesh.Watch(ctx, &pb.WatchRequest{Names: []string{name}})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = mesh.Recv()
	header, _ = mesh.Header()
	told("meshhealth Watch", header, err)
	stock, err := w.stock.Watch(ctx, &healthpb.HealthCheckRequest{Service: name})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = stock.Recv()
	header, _ = stock.Header()
	told("stock Watch", header, err)
}

// TestProof: the answer to a call with a nonce proves that it comes from this feed. An
// answer to a call without a nonce has no proof.
func TestProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving))
		key := w.feed.Key()
		for _, nonce := range [][]byte{nil, {0}, []byte("nonce"), bytes.Repeat([]byte{0xff}, wire.MaxNonce)} {
			ctx := t.Context()
			if nonce != nil {
				ctx = wire.WithNonce(ctx, nonce)
			}
			w.asked(ctx, "self", func(method string, header metadata.MD, err error) {
				wantCode(t, err, codes.OK)
				proof := wire.ProofOf(header)
				if nonce == nil && len(header.Get(wire.ProofHeader)) > 0 {
					t.Errorf("%s: a proof without a nonce", method)
				}
				if nonce != nil && !key.Proves(nonce, proof) {
					t.Errorf("%s with a nonce of %d bytes: %x proves nothing", method, len(nonce), proof)
				}
				if key.Proves([]byte("another"), proof) {
					t.Errorf("%s: the proof is of any nonce", method)
				}
			})
		}
	})
}

// TestProofOfAnError: an answer that a name is unknown has a proof too.
func TestProofOfAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		nonce := []byte("nonce")
		w.asked(wire.WithNonce(t.Context(), nonce), "nobody", func(method string, header metadata.MD, err error) {
			if strings.HasSuffix(method, "Check") {
				wantCode(t, err, codes.NotFound)
			}
			if !w.feed.Key().Proves(nonce, wire.ProofOf(header)) {
				t.Errorf("%s: %v proves nothing", method, header)
			}
		})
	})
}

// TestBadNonce: an invalid nonce is refused, and the error names the field.
func TestBadNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		w.publish(is("self", health.Serving))
		for _, c := range []struct {
			name string
			ctx  context.Context
			want string
		}{
			{"empty", wire.WithNonce(t.Context(), nil), "has 0 bytes; allowed: 1 to 64"},
			{"too long", wire.WithNonce(t.Context(), make([]byte, wire.MaxNonce+1)), "has 65 bytes; allowed: 1 to 64"},
			{"twice", wire.WithNonce(wire.WithNonce(t.Context(), []byte{1}), []byte{2}), "is given 2 times; allowed: once"},
		} {
			w.asked(c.ctx, "self", func(method string, header metadata.MD, err error) {
				wantCode(t, err, codes.InvalidArgument)
				if want := wire.NonceHeader + ": " + c.want; status.Convert(err).Message() != want {
					t.Errorf("%s, %s: %v, want %q", c.name, method, err, want)
				}
				if wire.ProofOf(header) != nil {
					t.Errorf("%s, %s: it is answered with a proof", c.name, method)
				}
			})
		}
	})
}
