package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// browser calls the methods of a world over HTTP, with the protocol Connect and JSON.
type browser struct {
	t      *testing.T
	client http.Client
}

// browse serves the methods over HTTP until the test ends.
func (w *world) browse() *browser {
	mux := http.NewServeMux()
	for _, m := range w.server.HTTP() {
		mux.HandleFunc("POST "+m.Name, func(rw http.ResponseWriter, r *http.Request) {
			conn := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
			m.Handler.ServeHTTP(rw, r.WithContext(peer.NewContext(r.Context(), &peer.Peer{Addr: conn})))
		})
	}
	l, srv := newListener(), &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	b := &browser{t: w.t}
	b.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return l.dialFrom(home)(ctx, "")
	}}
	w.t.Cleanup(func() { b.client.CloseIdleConnections(); _ = srv.Close(); <-done })
	return b
}

// answer is what a call over HTTP has returned.
type answer struct {
	code    string // code of the error; empty if there is none
	message string
	reasons []string // reasons in the details of the error
	text    string   // all messages
}

// isWatch reports whether a method returns a stream.
func isWatch(method string) bool { return method == pb.HealthService_Watch_FullMethodName }

// call calls a method with one request. A stream that stays open is ended by the client.
func (b *browser) call(method string, req proto.Message) answer {
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	var body bytes.Buffer
	var mu sync.Mutex
	resp, done := b.open(ctx, method, req), make(chan struct{})
	go func() {
		defer close(done)
		defer resp.Body.Close()
		for buf := make([]byte, 4096); ; {
			n, err := resp.Body.Read(buf)
			mu.Lock()
			body.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	synctest.Wait()
	cancel()
	<-done
	if isWatch(method) {
		return streamAnswer(b.t, body.Bytes())
	}
	if resp.StatusCode == http.StatusOK {
		return answer{text: body.String()}
	}
	return errorAnswer(b.t, body.Bytes())
}

// open sends a request and returns when the header of the answer is there.
func (b *browser) open(ctx context.Context, method string, req proto.Message) *http.Response {
	text, kind := must(protojson.Marshal(req)), "application/json"
	if isWatch(method) {
		text, kind = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...), "application/connect+json"
	}
	r := must(http.NewRequestWithContext(ctx, http.MethodPost, "http://coordinator"+method, bytes.NewReader(text)))
	r.Header.Set("Content-Type", kind)
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(method, err)
	}
	return resp
}

func errorAnswer(t *testing.T, text []byte) answer {
	var e struct {
		Code, Message string
		Details       []struct{ Debug struct{ Reason string } }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	a := answer{code: e.Code, message: e.Message}
	for _, d := range e.Details {
		a.reasons = append(a.reasons, d.Debug.Reason)
	}
	return a
}

func streamAnswer(t *testing.T, body []byte) answer {
	var a answer
	for len(body) >= 5 {
		size := binary.BigEndian.Uint32(body[1:5])
		message := body[5 : 5+size]
		if body[0]&2 != 0 {
			var end struct{ Error json.RawMessage }
			if err := json.Unmarshal(message, &end); err != nil {
				t.Errorf("%q: %v", message, err)
			}
			if end.Error != nil {
				a = errorAnswer(t, end.Error)
			}
			return a
		}
		a.text += string(message)
		body = body[5+size:]
	}
	return a
}

// TestHTTPMethods: exactly these methods are served over HTTP. Each is one of gRPC's, asks the policy
// the same questions, and only about reading. It says nothing that the policy hides.
func TestHTTPMethods(t *testing.T) {
	want := []string{
		pb.AdminService_Explain_FullMethodName, pb.AdminService_GetCoordinator_FullMethodName,
		pb.AdminService_ListOverrides_FullMethodName, pb.AdminService_ListRoutes_FullMethodName,
		pb.AdminService_ListTransitions_FullMethodName, pb.HealthService_Check_FullMethodName,
		pb.HealthService_List_FullMethodName, pb.HealthService_Watch_FullMethodName,
	}
	synctest.Test(t, func(t *testing.T) {
		w, pay, hidden := newWalkedWorld(t, granting(access.Verbs(), "pay"))
		b := w.browse()
		var got []string
		for _, m := range w.server.HTTP() {
			got = append(got, m.Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%q are served, want %q", got, want)
		}
		grpcs := methodsOf(w.server.Services())
		for _, method := range got {
			walk := walks(pay, hidden)[method]
			a := b.call(method, walk.req)
			if walk.general {
				if a.code != "permission_denied" || a.text != "" {
					t.Errorf("%s: %+v", method, a)
				}
			} else if a.code != "" || a.text == "" || strings.Contains(a.text, "hidden") || !slices.Contains(grpcs, method) {
				t.Errorf("%s: %+v", method, a)
			}
			for _, verb := range walk.needs {
				if verb != access.VerbRead && verb != access.VerbRoute {
					t.Errorf("%s: needs %v, and only methods that read are served over HTTP", method, verb)
				}
			}
			if walk.refused == nil {
				continue
			}
			if a := b.call(method, walk.refused); a.code != "not_found" || !slices.Contains(a.reasons, wire.ReasonNotFound) || a.text != "" {
				t.Errorf("%s of a hidden name: %+v", method, a)
			}
		}
	})
}

// TestRightsOverHTTP: a caller over HTTP has the same rights as over gRPC.
func TestRightsOverHTTP(t *testing.T) {
	for _, trusted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(s *setup) {
				if !trusted {
					s.access = friends()
				}
			})
			must(w.registry.Register(t.Context(), must(wire.Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{instance("pay/1")}}))))
			b := w.browse()
			explained := b.call(pb.AdminService_Explain_FullMethodName, &pb.ExplainRequest{Name: "pay"})
			if explained.code == "" != trusted || !trusted && explained.code != "permission_denied" {
				t.Errorf("trusted %v: Explain answers %+v", trusted, explained)
			}
			watched := b.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
			if watched.code != "" || strings.Contains(watched.text, `"address"`) != trusted {
				t.Errorf("trusted %v: Watch sends %+v", trusted, watched)
			}
		})
	}
}

// TestHTTPWatchersCount: Watch streams over gRPC and over HTTP count for the same limit.
func TestHTTPWatchersCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.MaxWatchers = 2 })
		b := w.browse()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp := b.open(ctx, pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
		defer resp.Body.Close()
		stream := must(w.mesh.Watch(ctx, &pb.WatchRequest{}))
		must(stream.Recv())
		if n := w.server.Watchers(); n != 2 {
			t.Errorf("%d watchers, want 2", n)
		}
		if a := b.call(pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{}); a.code != "resource_exhausted" || !slices.Contains(a.reasons, wire.ReasonLimit) {
			t.Errorf("the third, over HTTP: %+v", a)
		}
		if err := w.send(&pb.WatchRequest{}); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("the third, over gRPC: %v", err)
		}
		cancel()
		synctest.Wait()
		if n := w.server.Watchers(); n != 0 {
			t.Errorf("%d watchers after the end", n)
		}
	})
}

// TestHTTPWatchEndsWithTheServer: when the server ends, a Watch over HTTP ends with the same error as
// over gRPC.
func TestHTTPWatchEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		resp := w.browse().open(t.Context(), pb.HealthService_Watch_FullMethodName, &pb.WatchRequest{})
		defer resp.Body.Close()
		synctest.Wait()
		w.end()
		a := streamAnswer(t, must(io.ReadAll(resp.Body)))
		if a.code != "unavailable" || !slices.Contains(a.reasons, wire.ReasonStopping) {
			t.Errorf("it ends with %+v", a)
		}
	})
}
