package wire

import (
	"math"
	"strings"
	"testing"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

func TestTokenRoundTrip(t *testing.T) {
	for _, want := range []Token{{}, {1, 2, 3}, {math.MaxUint64, math.MaxUint64, math.MaxUint64}} {
		text := want.Encode()
		if got, ok := DecodeToken(text); !ok || got != want || len(text) > MaxToken {
			t.Errorf("%+v travels as %q, is read as %+v %v", want, text, got, ok)
		}
	}
	good := Token{1, 2, 3}.Encode()
	for _, bad := range []string{"", "?", good[1:], good + "AAAA", "B" + good[1:], strings.Repeat("A", MaxToken+1), good + "="} {
		if got, ok := DecodeToken(bad); ok || got != (Token{}) {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add(Token{1, 2, 3}.Encode())
	f.Add(pageTokenOf(7, health.ID{Service: "a", Instance: "1"}))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if token, ok := DecodeToken(text); ok {
			if again, ok := DecodeToken(token.Encode()); !ok || again != token {
				t.Errorf("%q: %+v, then %+v %v", text, token, again, ok)
			}
		} else if token != (Token{}) {
			t.Errorf("%q is no token, but %+v", text, token)
		}
		var v Violations
		id, first := pageToken(&v, text, 7)
		if v.Err() != nil || first {
			if id != (health.ID{}) || v.Err() == nil && text != "" {
				t.Errorf("page token %q: %v %v %v", text, id, first, v.Err())
			}
			return
		}
		if again, _ := pageToken(&v, pageTokenOf(7, id), 7); again != id {
			t.Errorf("page token %q: %v, then %v", text, id, again)
		}
	})
}

func TestPageTokenRoundTrip(t *testing.T) {
	long := strings.Repeat("x", MaxName)
	for _, want := range []health.ID{{Service: "a"}, {Service: "a", Instance: "1"}, {Service: "*"}, {Service: long, Instance: long}} {
		var v Violations
		if got, first := pageToken(&v, pageTokenOf(7, want), 7); got != want || first || v.Err() != nil {
			t.Errorf("%v is read as %v %v, %v", want, got, first, v.Err())
		}
	}
	var v Violations
	if _, first := pageToken(&v, "", 7); !first || v.Err() != nil {
		t.Errorf("no token: %v %v", first, v.Err())
	}
}

// The token of another stream is an unknown one.
func TestScope(t *testing.T) {
	byLabels := func(labels map[string]string) *pb.WatchRequest {
		return &pb.WatchRequest{Selector: &pb.Selector{Labels: labels}}
	}
	scopes := map[uint64]string{}
	for name, req := range map[string]*pb.WatchRequest{
		"everything": {}, "a": {Names: []string{"a"}}, "a and b": {Names: []string{"a", "b"}}, "ab": {Names: []string{"ab"}},
		"zone": {Selector: &pb.Selector{Zone: "x"}}, "aggregates": {Selector: &pb.Selector{AggregatesOnly: true}},
		"no services in zones": {Selector: &pb.Selector{NoServiceZones: true}},
		"labels":               byLabels(map[string]string{"a": "b"}), "more labels": byLabels(map[string]string{"a": "b", "c": "d"}),
	} {
		if other, twice := scopes[Scope(req)]; twice {
			t.Errorf("%s has the scope of %s", name, other)
		}
		scopes[Scope(req)] = name
	}
	// What is not asked for does not count, nor does the order of labels.
	labels := map[string]string{}
	for _, key := range "abcdefgh" {
		labels[string(key)] = "x"
	}
	want := Scope(byLabels(labels))
	for range 20 {
		req := byLabels(labels)
		req.ResumeToken = "anything"
		if Scope(req) != want {
			t.Fatal("the same question has two scopes")
		}
	}
}
