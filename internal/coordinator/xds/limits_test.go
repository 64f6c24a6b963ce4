package xds_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
)

// TestAcknowledgementAtLimit checks that the limit of all subscriptions ends only the stream whose
// request adds names. An acknowledgement ends none after the wildcard of another client has grown.
func TestAcknowledgementAtLimit(t *testing.T) {
	inBubble(t, xds.Config{MaxSubscriptions: 4}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, service := range []string{"a", "b", "c"} {
			w.set(service, 1)
		}
		w.Loaded()
		named := w.delta(t, ctx, "a")
		m, err := named.Recv()
		if err != nil {
			t.Fatal(err)
		}
		wildcard := w.delta(t, ctx, "*")
		synctest.Wait()
		w.set("d", 1) // 5 subscriptions
		if err := named.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResponseNonce: m.GetNonce()}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.set("a", 2)
		if m, err := named.Recv(); err != nil || endpointsIn(t, m) != 2 {
			t.Errorf("the stream that acknowledges gets %v, %v", m, err)
		}
		if _, err := wildcard.Recv(); err != nil {
			t.Error("the wildcard: ", err)
		}
		if err := named.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResourceNamesSubscribe: []string{"b"}}); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = named.Recv()
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a request for one more name: %v, want RESOURCE_EXHAUSTED", err)
		}
	})
}

// TestLongNames checks the limits of the bytes of names: of one stream, and of all together.
func TestLongNames(t *testing.T) {
	for _, c := range []struct {
		name, text string
		cfg        xds.Config
		code       codes.Code
	}{
		{"one stream", "bytes on this stream; allowed: at most 16777216", xds.Config{}, codes.InvalidArgument},
		{"all streams", "need more than 8000000 bytes", xds.Config{MaxBytes: 8_000_000}, codes.ResourceExhausted},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.cfg, func(t *testing.T, w *world) {
				w.Loaded()
				stream, err := w.client.DeltaAggregatedResources(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for batch := range 20 {
						req := &discoverypb.DeltaDiscoveryRequest{Node: &corepb.Node{Id: "n"}, TypeUrl: edsURL}
						for i := range 1000 {
							req.ResourceNamesSubscribe = append(req.ResourceNamesSubscribe, fmt.Sprint(strings.Repeat("x", 1000), batch, "-", i))
						}
						if stream.Send(req) != nil {
							return
						}
					}
				}()
				for err == nil {
					_, err = stream.Recv()
				}
				if status.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %v and %q", err, c.code, c.text)
				}
				synctest.Wait()
				if n := w.Stats().Subscribed; n != 0 {
					t.Errorf("%d subscriptions remain", n)
				}
			})
		})
	}
}

// TestRefusedUnreadStream checks that a refused request holds no names, even if its stream cannot end
// because the client does not read.
func TestRefusedUnreadStream(t *testing.T) {
	inBubble(t, xds.Config{MaxSubscriptions: 2}, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.set("big", 5000)
		w.Loaded()
		stream := w.delta(t, ctx, "big")
		synctest.Wait()
		for i := range 5 { // more than fits into the window of the stream
			w.publish(endpoint("big", i, health.RouteNone))
			synctest.Wait()
		}
		if err := stream.Send(&discoverypb.DeltaDiscoveryRequest{TypeUrl: edsURL, ResourceNamesSubscribe: []string{"a", "b", "c"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.Stats(); s.Subscribed != 0 || s.Streams["spill-over delta"] != 1 {
			t.Errorf("the stream waits for its client, and %+v; want no subscriptions", s)
		}
	})
}
