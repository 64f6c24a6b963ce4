package wire

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The bounds of the violations in one error. They are necessary because the error is sent in a
// header, whose size is limited by MaxHeaderList.
const (
	maxViolations  = 20
	maxDescription = 256
)

// Violations collects the faults in the fields of a request.
type Violations struct {
	list []*errdetails.BadRequest_FieldViolation
	more int
}

// Add adds a fault of field. It makes the text of the fault from format and args, as fmt.Sprintf does.
func (v *Violations) Add(field, format string, args ...any) {
	if len(v.list) == maxViolations {
		v.more++
		return
	}
	v.list = append(v.list, &errdetails.BadRequest_FieldViolation{
		Field: field, Description: CleanTo(fmt.Sprintf(format, args...), maxDescription),
	})
}

// Check adds err as a fault of field, unless err is nil.
func (v *Violations) Check(field string, err error) {
	if err != nil {
		v.Add(field, "%v", err)
	}
}

// MaxLen adds a fault of field if value has more than limit bytes.
func (v *Violations) MaxLen(field, value string, limit int) {
	if len(value) > limit {
		v.Add(field, "has %d bytes; allowed: at most %d", len(value), limit)
	}
}

// Err returns an error with the code INVALID_ARGUMENT and all faults in a BadRequest. It returns nil
// if there are no faults.
func (v *Violations) Err() error {
	if len(v.list) == 0 {
		return nil
	}
	parts := make([]string, 0, len(v.list))
	for _, f := range v.list {
		parts = append(parts, f.Field+": "+f.Description)
	}
	message := Clean(strings.Join(parts, "; "))
	if v.more > 0 {
		message += fmt.Sprintf("; and %d more", v.more)
	}
	st := status.New(codes.InvalidArgument, message)
	return withDetails(st, &errdetails.BadRequest{FieldViolations: v.list})
}
