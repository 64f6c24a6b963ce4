package xds

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corepb "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoverypb "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// silentClient is a delta client that reads all responses and acknowledges none.
type silentClient struct {
	*Server
	*stream
	url string
}

func newSilentClient(t *testing.T, s *Server) *silentClient {
	t.Helper()
	c := &silentClient{Server: s, stream: &stream{session: &session{delta: true}, news: make(chan struct{}, 1)}, url: endpointSets.url()}
	if err := s.open(context.Background(), c.stream); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a request with names to subscribe to and to unsubscribe from, and reads all responses.
func (c *silentClient) ask(subscribe, unsubscribe []string) error {
	err := c.handle(c.stream, &request{node: &corepb.Node{Id: "n"}, delta: &discoverypb.DeltaDiscoveryRequest{
		TypeUrl: c.url, ResourceNamesSubscribe: subscribe, ResourceNamesUnsubscribe: unsubscribe,
	}})
	for c.Server.next(c.stream) != nil {
	}
	return err
}

// held returns the number of resources in responses that are not acknowledged.
func (c *silentClient) held() (n int) {
	for _, sub := range c.session.subscriptions {
		for i := range sub.inFlight {
			n += len(sub.inFlight[i].resources)
		}
		n += len(sub.queue)
	}
	return n
}

func manyNames(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(prefix, i)
	}
	return names
}

// TestDroppedNamesAreForgotten checks that nothing holds the names that a client has dropped, even if
// it acknowledges nothing.
func TestDroppedNamesAreForgotten(t *testing.T) {
	s := New(Config{})
	s.warmUp()
	c := newSilentClient(t, s)
	for typ := range maxTypes {
		c.url = fmt.Sprint("type", typ)
		for batch := range 3 {
			names := manyNames(fmt.Sprint(strings.Repeat("x", 100), batch, "-"), 1000)
			if err := c.ask(names, nil); err != nil {
				t.Fatal(err)
			}
			if n := c.held(); n < 1000 {
				t.Fatalf("%d resources are in flight, want 1000 or more", n)
			}
			if err := c.ask(nil, names); err != nil {
				t.Fatal(err)
			}
			if n := c.held(); n != 0 {
				t.Fatalf("%d resources are held after their names were dropped, want 0", n)
			}
		}
	}
}

// TestInFlightIsBounded checks that a client that asks for the same names again and again, and
// acknowledges nothing, holds a bounded number of resources. The latest response stays in flight.
func TestInFlightIsBounded(t *testing.T) {
	s := New(Config{})
	s.Apply(sample())
	s.warmUp()
	c := newSilentClient(t, s)
	names := append(manyNames("n", 1000), "pay.v1.Pay")
	for range 20 {
		for _, k := range []kind{clusters, endpointSets} {
			c.url = k.url()
			if err := c.ask(names, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, most := c.held(), 2*2*len(names)+maxInFlight; n > most {
		t.Errorf("%d resources are in flight, want at most %d", n, most)
	}
	sub := c.session.subscriptions[1]
	if n := len(sub.inFlight); n == 0 || sub.inFlight[n-1].nonce != sub.nonce {
		t.Errorf("the latest response, %s, is not in flight", sub.nonce)
	}
}
