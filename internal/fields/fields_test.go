package fields

import (
	"errors"
	"testing"
)

// TestErrors collects faults in order, and keeps the causes reachable.
func TestErrors(t *testing.T) {
	var none Errors
	none.Add("Name", nil)
	if err := none.Join(); err != nil {
		t.Errorf("%v, want nil", err)
	}
	cause := errors.New("is empty")
	var e Errors
	e.Add("Name", cause)
	e.Addf("Port", "is %d; allowed: %d", 0, 1)
	err := e.Join()
	if want := "Name: is empty\nPort: is 0; allowed: 1"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}
