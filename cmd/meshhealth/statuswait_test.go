package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// interrupted serves a Watch that breaks off after a snapshot. The next Watch, which has the
// resume token, receives only what has changed.
type interrupted struct {
	pb.UnimplementedHealthServiceServer
	watches *atomic.Int32
}

func (i interrupted) Watch(req *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) error {
	m := &pb.WatchResponse{Epoch: 1, Revision: 2, ResumeToken: "here", Entries: []*pb.Health{{Service: "b", Status: pb.Status_STATUS_SERVING}}}
	if i.watches.Add(1) == 1 {
		m.Revision, m.Snapshot, m.SnapshotEnd = 1, true, true
		m.Entries = []*pb.Health{{Service: "a", Status: pb.Status_STATUS_SERVING}, {Service: "b", Status: pb.Status_STATUS_STARTING}}
	} else if req.GetResumeToken() != "here" {
		return status.Errorf(codes.InvalidArgument, "the token is %q", req.GetResumeToken())
	}
	if err := stream.Send(m); err != nil || m.GetSnapshot() {
		return status.Errorf(codes.Unavailable, "interrupted: %v", err)
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// TestStatusWaitThroughOutage checks that an entry that has not changed during an outage still
// counts after the outage.
func TestStatusWaitThroughOutage(t *testing.T) {
	s := interrupted{watches: &atomic.Int32{}}
	at := probed(t, func(g *grpc.Server) { pb.RegisterHealthServiceServer(g, s) })
	var w shell
	stdout, stderr, code := w.run(t.Context(), "status", "a", "b", "--wait", "SERVING", "--timeout", "20s", "--coordinator", at)
	if code != exitOK || strings.Count(stdout, "SERVING") != 2 || s.watches.Load() != 2 {
		t.Errorf("code %d after %d Watches: %s%s", code, s.watches.Load(), stdout, stderr)
	}
}
