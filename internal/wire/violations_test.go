package wire

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// refusal is one field of a BadRequest, and what its description must say.
type refusal struct{ field, says string }

// refuses checks that err is INVALID_ARGUMENT with exactly these fields.
func refuses(t *testing.T, name string, err error, want []refusal) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	got := violationsOf(t, name, err)
	if len(got) != len(want) {
		t.Errorf("%s: %d fields, want %d: %v", name, len(got), len(want), err)
		return
	}
	for i, w := range want {
		if got[i].GetField() != w.field || !strings.Contains(got[i].GetDescription(), w.says) {
			t.Errorf("%s: %q %q, want %q %q", name, got[i].GetField(), got[i].GetDescription(), w.field, w.says)
		}
		if !strings.Contains(status.Convert(err).Message(), w.field) {
			t.Errorf("%s: the message does not name %s: %v", name, w.field, err)
		}
	}
}

func violationsOf(t *testing.T, name string, err error) []*errdetails.BadRequest_FieldViolation {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("%s: %v", name, err)
	}
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			return bad.GetFieldViolations()
		}
	}
	t.Fatalf("%s: no BadRequest in %v", name, err)
	return nil
}

func TestNoViolation(t *testing.T) {
	var v Violations
	v.Check("a", nil)
	v.MaxLen("b", "xy", 2)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	v.MaxLen("b", "xyz", 2)
	refuses(t, "too long", v.Err(), []refusal{{"b", "has 3 bytes; allowed: at most 2"}})
}

// A refusal must reach who asked: it travels in a header, of which our clients
// take MaxHeaderList bytes.
func TestRefusalFitsItsHeader(t *testing.T) {
	long := strings.Repeat("健", MaxAddress/3)
	req := &pb.RegisterRequest{}
	for range MaxRegistrations {
		req.Registrations = append(req.Registrations, &pb.Registration{
			Service: long, Instance: long, Address: long, Labels: map[string]string{long: long},
		})
	}
	_, err := Registrations(req)
	if n := len(violationsOf(t, "500 bad ones", err)); n != maxViolations {
		t.Errorf("%d fields, want %d", n, maxViolations)
	}
	if !strings.Contains(err.Error(), "more") {
		t.Errorf("says nothing of the rest: %v", err)
	}
	var v Violations
	for i := range 100 {
		v.Add(fmt.Sprint("field", i), "%s", strings.Repeat("健", MaxText))
	}
	for name, err := range map[string]error{"500 bad ones": err, "the longest there is": v.Err()} {
		st := status.Convert(err)
		details, marshalErr := proto.Marshal(st.Proto())
		if n := len(url.PathEscape(st.Message())) + len(details)*4/3; marshalErr != nil || n > MaxHeaderList-1024 {
			t.Errorf("%s: %d bytes of header, allowed %d (%v)", name, n, MaxHeaderList, marshalErr)
		}
	}
}
