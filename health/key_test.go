package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestKeyIsNeverPrinted checks that no verb, encoding or log shows the secret.
func TestKeyIsNeverPrinted(t *testing.T) {
	k, err := KeyFrom(bytes.Repeat([]byte{'k'}, KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	spec := &Spec{Address: "127.0.0.1:1", Key: k}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb, k, spec, &State{Spec: spec})
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "key", k, "spec", spec)
	}
	for _, secret := range []string{"kkk", "6b6b6b", "107 107", "a2tr"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the secret (%s) is in %s", secret, out.String())
		}
	}
}

func TestKeyProves(t *testing.T) {
	one, _ := KeyFrom(bytes.Repeat([]byte{1}, KeyBytes))
	two, _ := KeyFrom(bytes.Repeat([]byte{2}, KeyBytes))
	nonce := []byte("nonce")
	for _, c := range []struct {
		name         string
		key          Key
		nonce, proof []byte
		want         bool
	}{
		{"its own", one, nonce, one.Proof(nonce), true},
		{"another key's", one, nonce, two.Proof(nonce), false},
		{"of another nonce", one, nonce, one.Proof([]byte("other")), false},
		{"none", one, nonce, nil, false},
		{"no key", Key{}, nonce, Key{}.Proof(nonce), false},
	} {
		if got := c.key.Proves(c.nonce, c.proof); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !one.Equal(one) || one.Equal(two) || one.Equal(Key{}) || !(Key{}).Equal(Key{}) {
		t.Error("Equal is wrong")
	}
}

func TestKeyFrom(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 1: false, 31: false, 32: true, 33: false} {
		k, err := KeyFrom(make([]byte, n))
		if (err == nil) != ok || k.IsZero() != (n != 32) || len(k.Bytes()) != map[bool]int{true: 32}[n == 32] {
			t.Errorf("%d bytes: %v, %d bytes back", n, err, len(k.Bytes()))
		}
	}
}
