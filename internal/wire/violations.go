package wire

import (
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What one refusal lists is bounded: it travels in a header, whose limit is
// MaxHeaderList.
const (
	maxViolations  = 20
	maxDescription = 256
)

// Violations collects everything that is wrong with a request.
type Violations struct {
	list []*errdetails.BadRequest_FieldViolation
	more int
}

// Add notes that field is wrong.
func (v *Violations) Add(field, format string, args ...any) {
	if len(v.list) == maxViolations {
		v.more++
		return
	}
	v.list = append(v.list, &errdetails.BadRequest_FieldViolation{
		Field: field, Description: CleanTo(fmt.Sprintf(format, args...), maxDescription),
	})
}

// Check notes err, if it is one.
func (v *Violations) Check(field string, err error) {
	if err != nil {
		v.Add(field, "%v", err)
	}
}

// MaxLen notes a value that is too long.
func (v *Violations) MaxLen(field, value string, limit int) {
	if len(value) > limit {
		v.Add(field, "has %d bytes; allowed: at most %d", len(value), limit)
	}
}

// Err returns INVALID_ARGUMENT with a BadRequest, nil if nothing was wrong.
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
