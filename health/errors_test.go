package health

import (
	"errors"
	"fmt"
	"testing"
)

func TestDescribe(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"plain", down, "connection refused"},
		{"attributes", With(With(down, "host", "db-1"), "tries", 3), "connection refused (tries=3, host=db-1)"},
		{"hint", Hint(down, "is the VPN up?"), "connection refused (hint: is the VPN up?)"},
		{"both", Hint(With(down, "host", "db-1"), "look"), "connection refused (host=db-1; hint: look)"},
		{"inside", fmt.Errorf("db: %w", With(down, "host", "db-1")), "db: connection refused (host=db-1)"},
		{"parts", errors.Join(With(down, "host", "a"), Warnf("slow")), "connection refused (host=a); slow"},
		{"a warning's", Warning(With(down, "host", "a")), "connection refused (host=a)"},
	} {
		if got := Describe(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if With(nil, "a", 1) != nil || Hint(nil, "b") != nil {
		t.Error("With and Hint must return nil for nil")
	}
	if err := With(down, "host", "a"); !errors.Is(err, down) || err.Error() != down.Error() {
		t.Errorf("With has changed the error to %v", err)
	}
}
