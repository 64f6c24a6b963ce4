package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/domain"
	"github.com/meshhealth/meshhealth/internal/wire"
)

func wantTold(t *testing.T, s *seen, want ...string) {
	t.Helper()
	if got := s.told(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		src := newSource(t, 7, 0)
		src.publish("a", health.Serving)
		w.serve(src)
		w.up()
		s := watching(t, w.client(), WatchOptions{})
		first := s.all(snapshot)
		wantCount(t, "snapshots", first, 1, 1)
		if u := first[0]; !u.SnapshotEnd || u.Gap || u.Heartbeat || u.Epoch != 7 || u.Revision != 1 || u.Build != "test" {
			t.Errorf("snapshot: %+v", u)
		}
		src.publish("b/1", health.Degraded)
		settle(0)
		wantTold(t, s, "a SERVING", "b/1 DEGRADED")
		settle(time.Minute)
		wantCount(t, "heartbeats", s.all(heartbeat), 5, 6)
		wantCount(t, "stale", s.all(stale), 0, 0)
	})
}

func TestWatchOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		o    WatchOptions
		want []string
	}{
		{"all", WatchOptions{}, []string{"*/z SERVING", "a SERVING", "a/1 SERVING", "a/@z SERVING", "b SERVING"}},
		{"names", WatchOptions{Names: []string{"a/1", "x"}}, []string{"a/1 SERVING", "x SERVICE_UNKNOWN"}},
		{"services", WatchOptions{Services: []string{"a"}}, []string{"a SERVING", "a/1 SERVING", "a/@z SERVING"}},
		{"aggregates", WatchOptions{AggregatesOnly: true}, []string{"a SERVING", "b SERVING"}},
		{"no services in zones", WatchOptions{NoServiceZones: true}, []string{"*/z SERVING", "a SERVING", "a/1 SERVING", "b SERVING"}},
		{"zone", WatchOptions{Zone: "z"}, []string{"*/z SERVING", "a/@z SERVING"}},
		{"labels", WatchOptions{Labels: map[string]string{"k": "v"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				src := newSource(t, 7, 0)
				for _, name := range []string{"*/z", "a", "a/1", "a/@z", "b"} {
					src.publish(name, health.Serving)
				}
				w.serve(src)
				w.up()
				s := watching(t, w.client(), c.o)
				got := s.told()
				slices.Sort(got)
				if !slices.Equal(got, c.want) {
					t.Errorf("told %q, want %q", got, c.want)
				}
				wantCount(t, "snapshots", s.all(snapshot), 1, 1)
			})
		})
	}
}

func TestWatchRefusesBeforeItAsks(t *testing.T) {
	for name, o := range map[string]WatchOptions{
		"names and services": {Names: []string{"a"}, Services: []string{"b"}},
		"bad name":           {Names: []string{"a b"}},
		"heartbeat":          {Heartbeat: time.Hour},
		"negative heartbeat": {Heartbeat: -1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				over, err := watching(t, w.client(), o).ended()
				if !over || status.Code(err) != codes.InvalidArgument {
					t.Errorf("over %t with %v, want INVALID_ARGUMENT", over, err)
				}
				wantEqual(t, "dials", w.dials(), 0)
			})
		})
	}
}

func TestWatchRefused(t *testing.T) {
	for _, code := range []codes.Code{codes.InvalidArgument, codes.Unimplemented, codes.PermissionDenied, codes.Unauthenticated} {
		t.Run(code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				script := w.script(func(n int, stream watchStream) error {
					if n == 0 {
						return unavailable
					}
					return status.Error(code, "no")
				})
				w.up()
				s := watching(t, w.client(), WatchOptions{})
				settle(time.Minute)
				if over, err := s.ended(); !over || status.Code(err) != code {
					t.Errorf("over %t with %v, want %v", over, err, code)
				}
				wantCount(t, "streams", script.came(), 2, 2)
			})
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		handlers := w.serve(newSource(t, 7, 0))
		w.up()
		c := w.client()
		connected := watching(t, c, WatchOptions{})
		wantEqual(t, "watchers", handlers.Watchers(), 1)
		connected.stop()
		synctest.Wait()
		if over, err := connected.ended(); !over || !errors.Is(err, context.Canceled) {
			t.Errorf("over %t with %v", over, err)
		}
		wantEqual(t, "watchers", handlers.Watchers(), 0)

		w.down()
		waiting := watching(t, c, WatchOptions{})
		settle(time.Minute)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if over, err := waiting.ended(); !over || !errors.Is(err, ErrClosed) {
			t.Errorf("over %t with %v, want ErrClosed", over, err)
		}
	})
}

func TestWatchBreakLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		src := newSource(t, 7, 0)
		src.publish("a", health.Serving)
		handlers := w.serve(src)
		w.up()
		c := w.client()
		all := c.Watch(t.Context(), WatchOptions{})
		for range 3 { // each range begins with a new snapshot
			for u, err := range all {
				if err != nil || !u.Snapshot {
					t.Errorf("got %+v, %v", u, err)
				}
				break
			}
			synctest.Wait()
			wantEqual(t, "watchers", handlers.Watchers(), 0)
		}
		w.down()
		for u, err := range all {
			if err != nil || !u.Stale {
				t.Errorf("got %+v, %v", u, err)
			}
			break
		}
	})
}

// The stream is interrupted at every third message. What is received afterwards continues
// at the same place.
func TestWatchResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		src := newSource(t, 7, 0)
		src.publish("s", health.Serving)
		w.serve(src)
		var sent []string
		w.options = []grpc.ServerOption{grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			return handle(srv, &cutter{ServerStream: ss, left: 3, by: unavailable, note: func(m *pb.WatchResponse) { sent = append(sent, m.GetResumeToken()) }})
		})}
		w.up()
		s := watching(t, w.client(), WatchOptions{Heartbeat: time.Minute})
		want := []string{"s SERVING"}
		for i := range 50 {
			name := fmt.Sprintf("s%d", i)
			src.publish(name, health.Serving)
			want = append(want, name+" SERVING")
			settle(time.Duration(i%7) * 300 * time.Millisecond)
		}
		settle(time.Minute)
		wantTold(t, s, want...)
		wantCount(t, "snapshots", s.all(snapshot), 1, 1)
		wantCount(t, "gaps", s.all(gap), 0, 0)
		wantCount(t, "stale", s.all(stale), 10, 20)
		wantCount(t, "messages", sent, 40, 60)
	})
}

func TestWatchHandsBackTheLastToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		script := w.script(func(n int, stream watchStream) error {
			if n > 0 {
				return hold(stream)
			}
			for _, m := range []*pb.WatchResponse{
				{ResumeToken: "one", SnapshotEnd: true, Snapshot: true},
				{ResumeToken: "two"},
				{ResumeToken: "three"},
				{Snapshot: true, Gap: true}, // no resume token
			} {
				if err := stream.Send(m); err != nil {
					return err
				}
			}
			return unavailable
		})
		w.up()
		watching(t, w.client(), WatchOptions{Services: []string{"a"}})
		settle(time.Second)
		wantCount(t, "streams", script.came(), 2, 2)
		wantEqual(t, "first token", script.came()[0].GetResumeToken(), "")
		wantEqual(t, "second token", script.came()[1].GetResumeToken(), "three")
		wantEqual(t, "what is asked for", wire.Scope(script.came()[1]), wire.Scope(script.came()[0]))
	})
}

func TestWatchGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		before := newSource(t, 7, 0)
		before.publish("a", health.Serving)
		w.serve(before)
		w.up()
		s := watching(t, w.client(), WatchOptions{})
		settle(time.Minute)
		w.down()
		settle(time.Minute)
		wantCount(t, "stale", s.all(stale), 1, 1)
		after := newSource(t, 8, 0)
		after.publish("b", health.Serving)
		w.serve(after)
		w.up()
		settle(20 * time.Second)
		wantTold(t, s, "a SERVING", "b SERVING")
		gaps := s.all(gap)
		wantCount(t, "gaps", gaps, 1, 1)
		if u := gaps[0]; !u.Snapshot || !u.SnapshotEnd || u.Epoch != 8 {
			t.Errorf("gap: %+v", u)
		}
		wantCount(t, "stale", s.all(stale), 1, 1)
	})
}

func TestWatchIsStaleOncePerOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(newSource(t, 7, 0))
		s := watching(t, w.client(), WatchOptions{})
		settle(time.Hour)
		never := s.all(stale)
		wantCount(t, "stale before the first connection", never, 1, 1)
		if status.Code(never[0].Err) != codes.Unavailable || never[0].Received.IsZero() {
			t.Errorf("stale: %+v", never[0])
		}
		for range 3 {
			w.up()
			settle(time.Minute)
			w.down()
			settle(time.Hour)
		}
		wantCount(t, "stale", s.all(stale), 4, 4)
	})
}

func TestWatchBacksOffFromShortLives(t *testing.T) {
	for name, watch := range map[string]func(n int, stream watchStream) error{
		"refused at once": func(int, watchStream) error { return unavailable },
		"ended at once":   func(int, watchStream) error { return nil },
		"a message is no success": func(_ int, stream watchStream) error {
			if err := stream.Send(&pb.WatchResponse{}); err != nil {
				return err
			}
			return unavailable
		},
		"nor is a life of 900 ms": func(_ int, stream watchStream) error {
			if err := stream.Send(&pb.WatchResponse{}); err != nil {
				return err
			}
			time.Sleep(900 * time.Millisecond)
			return unavailable
		},
		"nor is a long wait for the first": func(int, watchStream) error {
			time.Sleep(2 * time.Second)
			return unavailable
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				script := w.script(watch)
				w.up()
				watching(t, w.client(), WatchOptions{})
				settle(10 * time.Minute)
				wantCount(t, "streams in 10 min", script.came(), 60, 190)
			})
		})
	}
}

func TestWatchComesBackAtOnceAfterALife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		script := w.script(func(_ int, stream watchStream) error {
			if err := stream.Send(&pb.WatchResponse{}); err != nil {
				return err
			}
			time.Sleep(1500 * time.Millisecond)
			return unavailable
		})
		w.up()
		watching(t, w.client(), WatchOptions{})
		settle(time.Minute)
		wantCount(t, "streams in 1 min", script.came(), 35, 41)
	})
}

func TestWatchDoesAsItIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		script := w.script(func(int, watchStream) error { return wire.GRPC(domain.ErrLimit) })
		w.up()
		s := watching(t, w.client(), WatchOptions{})
		settle(10 * time.Minute)
		wantCount(t, "streams in 10 min, told 10 s", script.came(), 60, 61)
		if u := s.all(stale)[0]; !errors.Is(u.Err, ErrLimit) {
			t.Errorf("stale by %v, want ErrLimit", u.Err)
		}
	})
}

func TestWatchesShareABudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		script := w.script(func(_ int, stream watchStream) error {
			if err := stream.Send(&pb.WatchResponse{}); err != nil {
				return err
			}
			time.Sleep(shortLife)
			return unavailable
		})
		w.up()
		c := w.client()
		for range 50 {
			watching(t, c, WatchOptions{})
		}
		settle(time.Minute)
		wantCount(t, "streams of 50 loops in 1 min", script.came(), 500, 60*10+budgetBurst+50)
	})
}

func TestWatchNoticesSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		script := w.script(func(_ int, stream watchStream) error {
			if err := stream.Send(&pb.WatchResponse{ResumeToken: "t"}); err != nil {
				return err
			}
			return hold(stream)
		})
		w.up()
		s := watching(t, w.client(), WatchOptions{Heartbeat: 2 * time.Second})
		settle(5999 * time.Millisecond)
		wantCount(t, "stale just before", s.all(stale), 0, 0)
		settle(time.Millisecond)
		lost := s.all(stale)
		wantCount(t, "stale", lost, 1, 1)
		if !errors.Is(lost[0].Err, ErrSilent) {
			t.Errorf("stale by %v, want ErrSilent", lost[0].Err)
		}
		settle(time.Second)
		wantCount(t, "streams", script.came(), 2, 2)
	})
}

func TestWatchLeavesADeadConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		src := newSource(t, 7, 0)
		src.publish("a", health.Serving)
		w.serve(src)
		w.up()
		s := watching(t, w.client(), WatchOptions{})
		settle(time.Minute)
		w.kill()
		src.publish("a", health.NotServing)
		settle(32 * time.Second)
		wantTold(t, s, "a SERVING", "a NOT_SERVING")
		wantCount(t, "stale", s.all(stale), 1, 1)
		wantCount(t, "gaps", s.all(gap), 0, 0)
		wantEqual(t, "connections", w.dials(), 2)
	})
}

// A connection on which other streams are answered stays open, also if one stream is silent.
func TestWatchLeavesALivingConnectionAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.script(func(_ int, stream watchStream) error { return hold(stream) })
		w.up()
		c := w.client()
		mustRegister(t, c, instance())
		watching(t, c, WatchOptions{})
		settle(10 * time.Minute)
		wantEqual(t, "connections", w.dials(), 1)
	})
}

// The time that the caller needs for an update does not count as silence.
func TestWatchOfASlowCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		src := newSource(t, 7, 0)
		w.serve(src)
		w.up()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		for u := range w.client().Watch(ctx, WatchOptions{Heartbeat: time.Second}) {
			if u.Stale {
				t.Fatalf("stale by %v", u.Err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestWatchOfARealStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		handlers := w.serve(newSource(t, 7, 0))
		w.up()
		s := watching(t, w.client(), WatchOptions{})
		settle(time.Minute)
		handlers.End()
		settle(time.Minute)
		lost := s.all(stale)
		wantCount(t, "stale", lost, 1, 1)
		if !errors.Is(lost[0].Err, ErrStopping) || errors.Is(lost[0].Err, io.EOF) {
			t.Errorf("stale by %v, want ErrStopping", lost[0].Err)
		}
	})
}
