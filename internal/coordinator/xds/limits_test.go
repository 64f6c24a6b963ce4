package xds_test

import (
	"context"
	"testing"
	"testing/synctest"

	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/internal/coordinator/xds"
)

// TestAcknowledgementAtLimit checks that the limit of all subscriptions ends only the stream whose
// request adds names, and not one that acknowledges after the wildcard of another client has grown.
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
