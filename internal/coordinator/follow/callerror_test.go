package follow

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // a target may answer compressed
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/wire"
)

// answer is one kind of reply, and the finding that it must give.
type answer struct {
	kind     string
	watch    bool // of a Watch; else of a Check
	settings []http2.Setting
	reply    func(*rawStream)
	found    findingKind
	cause    health.Cause
	waited   bool
	proxied  bool
	reason   string // a part of the reason
}

// TestAnswers has one row for each kind of reply. A server writes each reply as single
// HTTP/2 frames to a connection like that of a follower.
func TestAnswers(t *testing.T) {
	var rows []answer
	for _, some := range [][]answer{statusAnswers(), proxyAnswers(), httpAnswers(), malformedAnswers(), cutAnswers(), otherAnswers()} {
		rows = append(rows, some...)
	}
	for _, row := range rows {
		t.Run(row.kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { row.run(t) })
		})
	}
}

func (a *answer) run(t *testing.T) {
	e := rawTarget(t, a.settings, a.reply)
	got := e.connect(t.Context(), 0)
	if got.err != nil {
		t.Fatal(got.err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
	defer cancel()
	var r reply
	err := call(withReply(ctx, &r), got, a.watch)
	found := classifyCall(err, &r)
	if found.kind != a.found || found.cause != a.cause || found.waited != a.waited || !strings.Contains(found.reason, a.reason) {
		t.Errorf("%v: %+v; want kind %d, cause %v, waited %v, the reason %q", err, found, a.found, a.cause, a.waited, a.reason)
	}
	if (found.kind == noEvidence) != (found.reason == "") {
		t.Errorf("%v: the reason %q", err, found.reason)
	}
	if r.proxied() != a.proxied {
		t.Errorf("proxied: %v, want %v", r.proxied(), a.proxied)
	}
}

// call makes a Check, or reads a Watch to its end.
func call(ctx context.Context, a attempt, watch bool) error {
	client, request := healthpb.NewHealthClient(a.conn), &healthpb.HealthCheckRequest{}
	if !watch {
		_, err := client.Check(ctx, request)
		return err
	}
	stream, err := client.Watch(ctx, request)
	for err == nil {
		_, err = stream.Recv()
	}
	return err
}

// trailing answers with a message and then a status. only answers with a status alone.
func trailing(fields ...string) func(*rawStream) {
	return func(s *rawStream) {
		s.open()
		s.data(false, serving())
		s.headers(true, fields...)
	}
}

func only(fields ...string) func(*rawStream) {
	return func(s *rawStream) { s.only(fields...) }
}

// statusAnswers lists the statuses that a target can send without a proxy. Each is sent
// after headers, and alone.
func statusAnswers() []answer {
	var rows []answer
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		row := answer{found: targetFailed, cause: health.CauseFailed, reason: code.String() + ": db not ok"}
		switch code {
		case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
			row.found, row.cause = pathFault, 0
		case codes.ResourceExhausted:
			row.found, row.cause = noQuota, health.CauseQuota
		case codes.Unauthenticated, codes.PermissionDenied:
			row.found, row.cause = misconfigured, health.CauseUnauthenticated
		case codes.NotFound:
			row.found, row.cause = unknownName, health.CauseUnknownName
		case codes.Unimplemented:
			row.found, row.cause = unimplemented, health.CauseUnimplemented
		}
		rows = append(rows, row.sent(code)...)
	}
	for _, code := range []codes.Code{17, 99} {
		row := answer{found: malformed, cause: health.CauseMalformed, reason: fmt.Sprintf("Code(%d)", code)}
		rows = append(rows, row.sent(code)...)
	}
	return append(rows,
		answer{kind: "a status below 0", reply: only("grpc-status", "-1"), found: malformed, cause: health.CauseMalformed},
		answer{
			kind: "a text of several lines", reply: only("grpc-status", "13", "grpc-message", "db%0Anot ok"),
			found: targetFailed, cause: health.CauseFailed, reason: "Internal: db not ok",
		},
		answer{
			kind: "a long text", reply: only("grpc-status", "13", "grpc-message", strings.Repeat("x", 10_000)),
			found: targetFailed, cause: health.CauseFailed, reason: "xxx…",
		},
		answer{
			kind: "the text of our own client, alone", found: targetFailed, cause: health.CauseFailed,
			reply: only("grpc-status", "13", "grpc-message", "grpc: failed to unmarshal the received message"),
		},
		answer{
			kind: "a text like an HTTP status", found: targetFailed, cause: health.CauseFailed,
			reply: only("grpc-status", "2", "grpc-message", "unexpected HTTP status code received from server: 503 (Service Unavailable)"),
		},
		answer{
			kind: "a text like a reset", found: targetFailed, cause: health.CauseFailed,
			reply: only("grpc-status", "13", "grpc-message", "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"),
		},
		// The client cannot distinguish this from a missing status.
		answer{kind: "UNKNOWN without a text", reply: only("grpc-status", "2"), found: malformed, cause: health.CauseMalformed},
	)
}

// sent returns three rows: a Check and a Watch that answer with this status alone, and
// a Watch that has sent a message before.
func (a answer) sent(code codes.Code) []answer {
	fields := []string{"grpc-status", fmt.Sprint(uint32(code)), "grpc-message", "db not ok"}
	alone, watch, after := a, a, a
	alone.kind, alone.reply = fmt.Sprintf("%v alone, to Check", code), only(fields...)
	watch.kind, watch.reply, watch.watch = fmt.Sprintf("%v alone, to Watch", code), only(fields...), true
	after.kind, after.reply, after.watch = fmt.Sprintf("%v after a message", code), trailing(fields...), true
	return []answer{alone, watch, after}
}

func proxyAnswers() []answer {
	own := func(kind string, code string, fields ...string) answer {
		return answer{
			kind: kind, reply: only(append([]string{"grpc-status", code, "grpc-message", "no"}, fields...)...),
			found: targetFailed, cause: health.CauseFailed, proxied: true,
		}
	}
	proxy := func(kind string, code string, fields ...string) answer {
		a := own(kind, code, fields...)
		a.found, a.cause = pathFault, 0
		return a
	}
	const took = "x-envoy-upstream-service-time"
	inHeaders := proxy("via in the headers", "")
	inHeaders.watch, inHeaders.reply = true, func(s *rawStream) {
		s.open("via", "1.1 google")
		s.data(false, serving())
		s.headers(true, "grpc-status", "13", "grpc-message", "no")
	}
	ownInHeaders := own("Envoy's upstream in the headers", "")
	ownInHeaders.watch, ownInHeaders.reply = true, func(s *rawStream) {
		s.open("server", "envoy", took, "3")
		s.headers(true, "grpc-status", "13", "grpc-message", "no")
	}
	turnedAway := own("PERMISSION_DENIED by Envoy", "7", "server", "envoy")
	turnedAway.found, turnedAway.cause = misconfigured, health.CauseUnauthenticated
	full := own("RESOURCE_EXHAUSTED by Envoy", "8", "server", "envoy")
	full.found, full.cause = noQuota, health.CauseQuota
	elsewhere := own("another server", "13", "server", "gunicorn")
	elsewhere.proxied = false
	fine := answer{kind: "SERVING through Envoy", found: noEvidence, proxied: true, reply: func(s *rawStream) {
		s.open("server", "istio-envoy", took, "3")
		s.data(false, serving())
		s.headers(true, "grpc-status", "0")
	}}
	return []answer{
		proxy("UNKNOWN via", "2", "via", "1.1 proxy"), proxy("INTERNAL via", "13", "via", "1.1 proxy"),
		proxy("INTERNAL by Envoy", "13", "server", "envoy"), proxy("DATA_LOSS by Istio", "15", "server", "istio-envoy"),
		own("INTERNAL through Envoy", "13", "server", "envoy", took, "3"), own("ABORTED through Istio", "10", "server", "istio-envoy", took, "3"),
		proxy("UNAVAILABLE by Envoy", "14", "server", "envoy"), own("UNAVAILABLE through Envoy", "14", "server", "envoy", took, "3"),
		own("UNAVAILABLE by Envoy's upstream, whose server hides", "14", took, "3"),
		proxy("UNAVAILABLE through Envoy, and via", "14", "server", "envoy", took, "3", "via", "1.1 proxy"),
		proxy("DEADLINE_EXCEEDED through Envoy", "4", "server", "envoy", took, "3"),
		own("INTERNAL, attempts of Envoy", "13", "x-envoy-attempt-count", "2"),
		inHeaders, ownInHeaders, turnedAway, full, elsewhere, fine,
	}
}

func httpAnswers() []answer {
	var rows []answer
	for code, row := range map[int]answer{
		200: {found: malformed, cause: health.CauseMalformed}, 204: {found: malformed, cause: health.CauseMalformed},
		301: {found: malformed, cause: health.CauseMalformed}, 400: {found: malformed, cause: health.CauseMalformed},
		401: {found: misconfigured, cause: health.CauseUnauthenticated}, 403: {found: misconfigured, cause: health.CauseUnauthenticated},
		404: {found: unimplemented, cause: health.CauseUnimplemented}, 408: {found: malformed, cause: health.CauseMalformed},
		418: {found: malformed, cause: health.CauseMalformed}, 429: {found: pathFault}, 500: {found: malformed, cause: health.CauseMalformed},
		501: {found: malformed, cause: health.CauseMalformed}, 502: {found: pathFault}, 503: {found: pathFault}, 504: {found: pathFault},
	} {
		row.reason = fmt.Sprintf("status code received from server: %d", code)
		whole, bare := row, row
		whole.kind, whole.reply = fmt.Sprintf("HTTP %d", code), func(s *rawStream) { s.http(fmt.Sprint(code), "<html>no</html>") }
		bare.kind, bare.reply, bare.watch = fmt.Sprintf("HTTP %d without a body, to Watch", code), func(s *rawStream) { s.headers(true, ":status", fmt.Sprint(code)) }, true
		rows = append(rows, whole, bare)
	}
	return rows
}

// zeros returns a compressed message of n zeros.
func zeros(n int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, n))
	_ = z.Close()
	return framed(1, b.Bytes())
}

// answersWith sends headers, these bytes in one frame, and the status OK.
func answersWith(data []byte, header ...string) func(*rawStream) {
	return func(s *rawStream) {
		s.open(header...)
		s.data(false, data)
		s.headers(true, "grpc-status", "0")
	}
}

func malformedAnswers() []answer {
	twice := append(serving(), serving()...)
	big := framed(0, make([]byte, wire.MaxHealthReply+1))
	rows := []answer{
		{kind: "no message", reply: answersWith(nil)},
		{kind: "only OK", reply: only("grpc-status", "0")},
		{kind: "two messages", reply: answersWith(twice)},
		{kind: "trailing bytes", reply: answersWith(append(serving(), 1, 2, 3))},
		{kind: "a trailing message, cut short", reply: answersWith(append(serving(), 0, 0, 0, 0, 9, 1))},
		{kind: "no trailers", reply: func(s *rawStream) { s.open(); s.data(true, serving()) }},
		{kind: "no trailers, and no message", reply: func(s *rawStream) { s.open(); s.data(true, nil) }},
		{kind: "no trailers, to Watch", watch: true, reply: func(s *rawStream) { s.open(); s.data(true, serving()) }},
		{kind: "trailers without a status", reply: trailing("x", "y")},
		{kind: "trailers without a status, to Watch", watch: true, reply: trailing("x", "y")},
		{kind: "only headers, without a status", reply: only()},
		{kind: "a status that is no number", reply: trailing("grpc-status", "fine")},
		{kind: "a status that is empty", reply: only("grpc-status", "")},
		{kind: "an unknown encoding", reply: answersWith(append([]byte{1}, serving()[1:]...), "grpc-encoding", "snappy")},
		{kind: "compressed, without an encoding", reply: answersWith(append([]byte{1}, serving()[1:]...))},
		{kind: "said to be gzip", reply: answersWith(append([]byte{1}, serving()[1:]...), "grpc-encoding", "gzip")},
		{kind: "an unknown flag", reply: answersWith(append([]byte{7}, serving()[1:]...))},
		{kind: "too large", reply: func(s *rawStream) { s.open(); s.data(false, big[:10]) }},
		{kind: "too large, to Watch", watch: true, reply: func(s *rawStream) { s.open(); s.data(false, serving()); s.data(false, big[:10]) }},
		{kind: "too large once decompressed", reply: answersWith(zeros(wire.MaxHealthReply+1), "grpc-encoding", "gzip")},
		{kind: "undecodable", reply: answersWith(framed(0, []byte{0xff, 0xff}))},
		{kind: "undecodable, to Watch", watch: true, reply: answersWith(framed(0, []byte{0xff, 0xff}))},
		{kind: "text", reply: answersWith([]byte("status: ok"))}, // the first letter is an unknown flag
		{kind: "another content type", reply: func(s *rawStream) {
			s.headers(false, ":status", "200", "content-type", "application/json")
			s.data(true, []byte(`{"status":"SERVING"}`))
		}},
		{kind: "no content type", reply: func(s *rawStream) { s.headers(true, ":status", "200") }},
		{kind: "no HTTP status", reply: func(s *rawStream) { s.headers(true, "grpc-status", "0") }},
		{kind: "an HTTP status that is no number", reply: func(s *rawStream) { s.headers(true, ":status", "ok") }},
		{kind: "an informational status that ends", reply: func(s *rawStream) { s.headers(true, ":status", "103") }},
		{kind: "headers in the middle", watch: true, reply: func(s *rawStream) {
			s.open()
			s.data(false, serving())
			s.headers(false, "x", "y")
		}},
		{kind: "headers that are too many", reply: only("grpc-status", "0", "x", strings.Repeat("y", wire.MaxHeaderList+1))},
		{kind: "binary headers that are not", reply: only("grpc-status", "0", "x-bin", "*")},
		{kind: "an upper-case header", reply: only("grpc-status", "0", "X", "y")},
		{kind: "more than the window", reply: func(s *rawStream) {
			s.open()
			for range wire.StreamWindow/(16<<10) + 1 {
				s.data(false, make([]byte, 16<<10))
			}
		}},
		{kind: "headers that cannot be read", reply: func(s *rawStream) {
			_ = s.frame.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, EndHeaders: true})
		}},
		{kind: "what is no HTTP/2", reply: func(s *rawStream) { _, _ = io.WriteString(s.conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }},
		{kind: "room for no header of ours", settings: []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 10}}, reply: answersWith(serving())},
	}
	for i := range rows {
		rows[i].found, rows[i].cause = malformed, health.CauseMalformed
	}
	return rows
}

func cutAnswers() []answer {
	closes := func(s *rawStream) { _ = s.conn.Close() }
	half := serving()[:6]
	rows := []answer{
		{kind: "a connection that closes", reply: closes},
		{kind: "a connection that closes after the headers", reply: func(s *rawStream) { s.open(); closes(s) }},
		{kind: "a connection that closes within a message", reply: func(s *rawStream) { s.open(); s.data(false, half); closes(s) }},
		{kind: "a connection that closes after the message", reply: func(s *rawStream) { s.open(); s.data(false, serving()); closes(s) }},
		{kind: "a connection that closes, under a Watch", watch: true, reply: func(s *rawStream) { s.open(); s.data(false, serving()); closes(s) }},
		{kind: "a connection that closes within a frame", reply: func(s *rawStream) { _, _ = s.conn.Write([]byte{0, 0, 9, 0}); closes(s) }},
		{kind: "GOAWAY", reply: func(s *rawStream) { _ = s.frame.WriteGoAway(0, http2.ErrCodeNo, nil); closes(s) }},
		{kind: "GOAWAY after the headers", reply: func(s *rawStream) { s.open(); _ = s.frame.WriteGoAway(s.id, http2.ErrCodeNo, nil); closes(s) }},
		{kind: "GOAWAY with an error", watch: true, reply: func(s *rawStream) {
			s.open()
			s.data(false, serving())
			_ = s.frame.WriteGoAway(s.id, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
			closes(s)
		}},
		{kind: "a truncated message, without trailers", reply: func(s *rawStream) { s.open(); s.data(true, half) }},
		{kind: "a truncated message", reply: answersWith(half)},
		{kind: "a truncated length", reply: answersWith(half[:3])},
		{kind: "a truncated message, in a Watch", watch: true, reply: answersWith(append(serving(), half...))},
		{kind: "RST_STREAM after the headers", reply: func(s *rawStream) { s.open(); s.reset(http2.ErrCodeInternal) }},
		{kind: "RST_STREAM within a message", reply: func(s *rawStream) { s.open(); s.data(false, half); s.reset(http2.ErrCodeInternal) }},
		{kind: "RST_STREAM after the message", reply: func(s *rawStream) { s.open(); s.data(false, serving()); s.reset(http2.ErrCodeNo) }},
		{kind: "RST_STREAM in a Watch", watch: true, reply: func(s *rawStream) { s.open(); s.data(false, serving()); s.reset(http2.ErrCodeCancel) }},
	}
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		rows = append(rows, answer{kind: fmt.Sprintf("RST_STREAM %v", code), reply: func(s *rawStream) { s.reset(code) }})
	}
	rows = append(rows, answer{kind: "RST_STREAM of a code nobody knows", reply: func(s *rawStream) { s.reset(77) }})
	for i := range rows {
		rows[i].found = replyCut
	}
	return rows
}

func otherAnswers() []answer {
	full := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 0}}
	return []answer{
		{kind: "SERVING", reply: answersWith(serving()), found: noEvidence},
		{kind: "SERVING, compressed", found: noEvidence, reply: answersWith(zeros(0), "grpc-encoding", "gzip")},
		{kind: "a Watch that ends with OK", watch: true, reply: answersWith(serving()), found: noEvidence},
		{kind: "a Watch that ends with OK, and had nothing to say", watch: true, reply: only("grpc-status", "0"), found: noEvidence},
		{kind: "no answer", reply: func(*rawStream) {}, found: pathFault, waited: true},
		{kind: "headers, and then no answer", reply: func(s *rawStream) { s.open() }, found: pathFault, waited: true},
		{kind: "a message, and then no end", reply: func(s *rawStream) { s.open(); s.data(false, serving()) }, found: pathFault, waited: true},
		{kind: "a Watch that is silent", watch: true, reply: func(s *rawStream) { s.open() }, found: pathFault, waited: true},
		{kind: "no stream for a Check", settings: full, found: noQuota, cause: health.CauseQuota, waited: true},
		{kind: "no stream for a Watch", settings: full, watch: true, found: noQuota, cause: health.CauseQuota, waited: true},
	}
}

// TestSilentStreams tests that a Watch without heartbeats is evidence against the path,
// unless it waits for the target to allow the stream.
func TestSilentStreams(t *testing.T) {
	for want, settings := range map[findingKind][]http2.Setting{
		pathFault: nil,
		noQuota:   {{ID: http2.SettingMaxConcurrentStreams, Val: 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := rawTarget(t, settings, func(*rawStream) {})
			got := e.connect(t.Context(), 0)
			ctx, cancel := context.WithTimeoutCause(t.Context(), checkTimeout, errSilent)
			defer cancel()
			var r reply
			if err := call(withReply(ctx, &r), got, true); status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("ended with %v", err)
			}
			if found := classifyCall(errSilent, &r); found.kind != want || !found.waited {
				t.Errorf("%+v, want kind %d", found, want)
			}
		})
	}
}

// TestOwnCancel tests that a call which we have ended ourselves is no evidence.
func TestOwnCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := rawTarget(t, nil, func(*rawStream) {})
		got := e.connect(t.Context(), 0)
		ctx, cancel := context.WithCancel(t.Context())
		var r, other reply
		done := make(chan error)
		go func() { done <- call(withReply(ctx, &r), got, true) }()
		synctest.Wait()
		cancel()
		if found := classifyCall(<-done, &r); found != (finding{kind: noEvidence}) {
			t.Errorf("a cancelled call gives %+v", found)
		}
		go func() { done <- call(withReply(t.Context(), &other), got, true) }()
		synctest.Wait()
		_ = got.conn.Close()
		if found := classifyCall(<-done, &other); found != (finding{kind: noEvidence}) {
			t.Errorf("a closed connection gives %+v", found)
		}
		if found := classifyCall(errors.New("anything"), &reply{}); found.kind != malformed {
			t.Errorf("an error without a status gives %+v", found)
		}
	})
}

// TestReplyOfARetry tests that the first attempt gives the finding, with its own reply,
// if the last attempt was not answered.
func TestReplyOfARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		e := rawTarget(t, nil, func(s *rawStream) {
			if calls.Add(1) == 1 {
				s.only("grpc-status", "14", "grpc-message", "db not ok", "x-envoy-upstream-service-time", "3")
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), checkTimeout)
		defer cancel()
		var r reply
		found := classifyCall(call(withReply(ctx, &r), e.connect(t.Context(), 0), false), &r)
		if want := (finding{kind: targetFailed, cause: health.CauseFailed, reason: "Unavailable: db not ok"}); found != want || calls.Load() != 2 {
			t.Errorf("%d calls: %+v, want 2: %+v", calls.Load(), found, want)
		}
	})
}
