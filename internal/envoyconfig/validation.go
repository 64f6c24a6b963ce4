package envoyconfig

import (
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// validate calls f for each value in m that the rules in the .proto files of Envoy do not allow. These
// rules do not reach into messages of the type Any, so each of them is validated by itself.
func validate(m proto.Message, f func(path, reason string)) {
	validateOne("", m, f)
	walkAny(m.ProtoReflect(), "", func(path string, inner proto.Message) { validateOne(path, inner, f) })
}

// validateOne validates one message. path is the path of the message.
func validateOne(path string, m proto.Message, f func(path, reason string)) {
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		eachViolation(v.ValidateAll(), path, f)
	}
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
		switch cause := e.Cause().(type) {
		case violation, interface{ AllErrors() []error }:
			eachViolation(cause, at, f)
		default:
			f(at, e.Reason())
		}
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
