package envoyconfig

import (
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// validate returns a fault for each value that the rules in the .proto files of Envoy do not allow.
// These rules do not reach into messages of the type Any, so each of them is validated by itself.
func (d *Document) validate() []Fault {
	faults := d.broken("", d.Bootstrap)
	walkAny(d.Bootstrap.ProtoReflect(), "", func(path string, m proto.Message) {
		faults = append(faults, d.broken(path, m)...)
	})
	return faults
}

// broken validates one message. path is the path of the message.
func (d *Document) broken(path string, m proto.Message) []Fault {
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		return nil
	}
	var faults []Fault
	eachViolation(v.ValidateAll(), path, func(path, reason string) {
		faults = append(faults, d.fault(path, "%s", reason))
	})
	return faults
}

// violation is what protoc-gen-validate reports of one field.
type violation interface {
	Field() string
	Reason() string
	Cause() error
}

// eachViolation calls f for each violation in err that has no other cause.
func eachViolation(err error, path string, f func(path, reason string)) {
	switch e := err.(type) {
	case nil:
	case interface{ AllErrors() []error }:
		for _, one := range e.AllErrors() {
			eachViolation(one, path, f)
		}
	case violation:
		at := fieldPath(path, e.Field())
		if cause := e.Cause(); cause != nil {
			if _, deeper := cause.(violation); deeper {
				eachViolation(cause, at, f)
				return
			}
			if _, several := cause.(interface{ AllErrors() []error }); several {
				eachViolation(cause, at, f)
				return
			}
		}
		f(at, e.Reason())
	default:
		f(path, err.Error())
	}
}

var indexed = regexp.MustCompile(`^([^\[]*)\[(.*)\]$`)

// fieldPath appends a field as protoc-gen-validate names it, such as Clusters[0], to a path.
func fieldPath(path, field string) string {
	m := indexed.FindStringSubmatch(field)
	if m == nil {
		return join(path, snake(field))
	}
	path = join(path, snake(m[1]))
	if _, err := strconv.Atoi(m[2]); err != nil {
		return join(path, m[2])
	}
	return path + "[" + m[2] + "]"
}

// walkAny calls f for each message in a field of the type Any, also for those inside of others.
func walkAny(m protoreflect.Message, path string, f func(path string, m proto.Message)) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		if inner, err := packed.UnmarshalNew(); err == nil {
			f(path, inner)
			walkAny(inner.ProtoReflect(), path, f)
		}
		return
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		at := join(path, string(field.Name()))
		switch {
		case field.IsMap() && field.MapValue().Message() != nil:
			v.Map().Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
				walkAny(value.Message(), join(at, strings.TrimSpace(key.String())), f)
				return true
			})
		case field.IsList() && field.Message() != nil:
			for i := range v.List().Len() {
				walkAny(v.List().Get(i).Message(), at+"["+strconv.Itoa(i)+"]", f)
			}
		case field.Message() != nil && !field.IsMap() && !field.IsList():
			walkAny(v.Message(), at, f)
		}
		return true
	})
}
