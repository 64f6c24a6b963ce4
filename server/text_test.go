package server_test

import (
	"strings"
	"testing"

	"github.com/meshhealth/meshhealth/server"
)

// TestTextIsRefusedForWhatItIs: the error says what is wrong with a text.
func TestTextIsRefusedForWhatItIs(t *testing.T) {
	for name, want := range map[string]string{
		"d\xffb":                 `Name: is "d\xffb", which is not valid UTF-8; allowed: at most 255 bytes`,
		"d\nb":                   `Name: has control characters in it ('\n'); allowed: at most 255 bytes`,
		"d\u202eb":               `Name: has control characters in it ('\u202e'); allowed: at most 255 bytes`,
		"d\u2028b":               `Name: has control characters in it ('\u2028'); allowed: at most 255 bytes`,
		strings.Repeat("x", 256): `Name: has 256 bytes; allowed: at most 255 bytes`,
	} {
		err := newServer(t, server.Config{}).Add(server.Check{Name: name, Run: pass})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	_, err := server.New(server.Config{Service: service, Build: "v\xff"})
	if want := `Build: is "v\xff", which is not valid UTF-8; allowed: at most 128 bytes`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}
