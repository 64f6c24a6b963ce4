//go:build e2e || soak

package storefaults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	stock "google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/meshhealth/meshhealth/coordinator"
	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// sampleStore is a store that a coordinator has written, whose instances are all SERVING.
type sampleStore struct {
	file  []byte
	old   [][]byte // earlier contents
	until time.Time
	want  *result // what an opener finds in it
}

// newSampleStore lets four coordinators execute the long script.
func newSampleStore(t *testing.T) *sampleStore {
	t.Helper()
	s, dir := &sampleStore{}, t.TempDir()
	const parts = 4
	for n := range parts {
		steps := longScript[n*longSteps/parts : (n+1)*longSteps/parts]
		err := withCoordinator(dir, healthy(t), func(conn *grpc.ClientConn) error {
			if err := steps.callAll(conn, func(int) {}); err != nil {
				return err
			}
			return allServe(t.Context(), conn)
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(dir, coordinator.StoreFile))
		if err != nil {
			t.Fatal(err)
		}
		s.old, s.file = append(s.old, file), file
	}
	s.old, s.until = s.old[:parts-1], time.Now()
	var o opener
	var err error
	s.want, err = o.open(&job{Dir: dir, Before: s.until}, time.Minute)
	if err := errors.Join(err, o.end()); err != nil || s.want.Error != "" || len(s.want.Failing) > 0 {
		t.Fatalf("the sample: %+v, %v", s.want, err)
	}
	t.Logf("the sample has %d bytes and %d lines of content", len(s.file), strings.Count(s.want.Content, "\n"))
	return s
}

// healthy returns a dialer whose connections all reach a server that serves every service of the script.
func healthy(t *testing.T) func(context.Context, string) (net.Conn, error) {
	l, server, h := bufconn.Listen(1<<20), grpc.NewServer(), stock.NewServer()
	for i := range longScript {
		h.SetServingStatus(longScript[i].ids[0].Service, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(server, h)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
}

// allServe waits until each instance is SERVING or forced.
func allServe(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch, err := pb.NewHealthServiceClient(conn).Watch(ctx, &pb.WatchRequest{Selector: &pb.Selector{}}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for waiting, complete := map[string]bool{}, false; !complete || len(waiting) > 0; {
		m, err := watch.Recv()
		if err != nil {
			return err
		}
		for _, e := range m.Entries {
			if e.Instance == "" {
				continue
			}
			name := e.Service + "/" + e.Instance
			if waiting[name] = true; e.Removed || e.Status == pb.Status_STATUS_SERVING && !e.Unconfirmed || e.Override != nil {
				delete(waiting, name)
			}
		}
		complete = complete || m.SnapshotEnd
	}
	return nil
}

// harm makes a damaged store in a folder.
func (s *sampleStore) harm(random *rand.Rand, dir string) (*harm, error) {
	file, name := damaged(random, s.file, s.old)
	path := filepath.Join(dir, coordinator.StoreFile)
	judge := func(r *result) (outcome string, err error) {
		after, err := os.ReadFile(path)
		switch {
		case err != nil:
			return "the file is gone", err
		case r.Refused && !bytes.Equal(after, file):
			return "refused and changed", errors.New(r.Error)
		case r.Refused && !strings.Contains(r.Error, "; the file was not changed; "):
			return "refused without advice", errors.New(r.Error)
		case r.Refused:
			return "refused", nil
		case r.Error != "":
			return "failed", errors.New(r.Error)
		case len(r.Failing) > 0:
			return "false NOT_SERVING", fmt.Errorf("%q", r.Failing)
		case r.Content != s.want.Content:
			return "other content", nil
		}
		return "right content", nil
	}
	return &harm{job: &job{Dir: dir, Before: s.until}, name: name, judge: judge}, put(path, file)
}

// TestDamagedStore opens damaged stores.
func TestDamagedStore(t *testing.T) { damageStores(t, 500) }

// damageStores starts a coordinator with each of n damaged stores. It must refuse the file, or have the right
// content. A page that was replaced by a sound older page cannot always be seen, so a few may differ.
func damageStores(t *testing.T, n int) {
	t.Helper()
	all := openDamaged(t, n, newSampleStore(t).harm)
	t.Log(all)
	if good := all.counts["refused"] + all.counts["right content"]; good*100 < n*99 {
		t.Errorf("%d of %d damaged stores were refused, or had the right content; want 99%%", good, n)
	}
}
