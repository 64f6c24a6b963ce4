package compactjson

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// plan is what Append needs to know about a message type. It is immutable.
type plan struct {
	// special is true if only protojson writes such messages.
	special bool
	fields  []field // in the order of their declaration
}

// field is a field of a message type. For a map, kind and enums belong to its values.
type field struct {
	desc  protoreflect.FieldDescriptor
	key   []byte // name of the member in quotes, and a colon
	kind  protoreflect.Kind
	enums map[protoreflect.EnumNumber]string // names of the values in quotes; nil for NullValue, which is null
	// index is the index of the field in the Go struct of the message, or -1. If the Go value is zero, the
	// field is not set. It is much faster to read than by protoreflect.
	index int
	// direct is true if the Go value is the value of the field.
	direct bool
}

// plans has the plan of each message type that was encoded. The key is the protoreflect.MessageType.
var plans sync.Map

func planOf(m protoreflect.Message) *plan {
	t := m.Type()
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p, _ := plans.LoadOrStore(t, newPlan(t.Descriptor(), structOf(m).Type()))
	return p.(*plan)
}

// newPlan returns the plan of the messages that a Go type represents.
func newPlan(d protoreflect.MessageDescriptor, in reflect.Type) *plan {
	if d.FullName().Parent() == "google.protobuf" || d.ExtensionRanges().Len() > 0 || d.RequiredNumbers().Len() > 0 {
		return &plan{special: true}
	}
	p := &plan{}
	for i := range d.Fields().Len() {
		p.fields = append(p.fields, newField(d.Fields().Get(i), in))
	}
	return p
}

func newField(d protoreflect.FieldDescriptor, in reflect.Type) field {
	key, _ := appendText(nil, d.JSONName()) // names of fields are UTF-8
	f := field{desc: d, key: append(key, ':'), kind: d.Kind(), index: indexOf(d, in)}
	f.direct = f.index >= 0 && !d.IsList() && !d.IsMap() && d.Kind() != protoreflect.BytesKind && (d.Message() != nil || !d.HasPresence())
	value := d
	if d.IsMap() {
		value = d.MapValue()
		f.kind = value.Kind()
	}
	if enum := value.Enum(); enum != nil {
		f.enums = enumTexts(enum)
	}
	return f
}

// indexOf returns the index of a field in a Go struct. It returns -1 if there is none, as in a oneof,
// or if the struct is not an open one. Generated code has the number of the field in a tag. It also
// returns -1 for numbers with fractions: a negative zero is set, but reflect takes it for zero.
func indexOf(d protoreflect.FieldDescriptor, in reflect.Type) int {
	if d.Kind() == protoreflect.FloatKind || d.Kind() == protoreflect.DoubleKind {
		return -1
	}
	for i := range in.NumField() {
		tag := strings.Split(in.Field(i).Tag.Get("protobuf"), ",")
		if in.Field(i).IsExported() && len(tag) > 1 && tag[1] == strconv.Itoa(int(d.Number())) {
			return i
		}
	}
	return -1
}

// enumTexts returns the names of the values of an enum, in quotes. If values have the same number, it
// returns the first name.
func enumTexts(d protoreflect.EnumDescriptor) map[protoreflect.EnumNumber]string {
	if d.FullName() == "google.protobuf.NullValue" {
		return nil
	}
	texts := map[protoreflect.EnumNumber]string{}
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		if _, there := texts[v.Number()]; !there {
			texts[v.Number()] = `"` + string(v.Name()) + `"`
		}
	}
	return texts
}

// structOf returns the Go struct of a message, or an empty struct if there is none.
func structOf(m protoreflect.Message) reflect.Value {
	if v := reflect.ValueOf(m.Interface()); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		return v.Elem()
	}
	return reflect.ValueOf(struct{}{})
}

// valueIn returns the value of a field in a message with the Go struct s. set is false if the field is
// not set.
func (f *field) valueIn(m protoreflect.Message, s reflect.Value) (v protoreflect.Value, set bool) {
	if f.index < 0 {
		return f.reflected(m)
	}
	g := s.Field(f.index)
	switch {
	case g.IsZero():
		return v, false
	case !f.direct:
		return f.reflected(m)
	}
	switch g.Kind() {
	case reflect.String:
		return protoreflect.ValueOfString(g.String()), true
	case reflect.Bool:
		return protoreflect.ValueOfBool(g.Bool()), true
	case reflect.Int32:
		if f.kind == protoreflect.EnumKind {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(g.Int())), true // #nosec G115 -- the field has 32 bits
		}
		return protoreflect.ValueOfInt32(int32(g.Int())), true // #nosec G115 -- the field has 32 bits
	case reflect.Uint32, reflect.Uint64:
		return protoreflect.ValueOfUint64(g.Uint()), true
	case reflect.Pointer:
		if one, ok := g.Interface().(protoreflect.ProtoMessage); ok {
			return protoreflect.ValueOfMessage(one.ProtoReflect()), true
		}
	}
	return f.reflected(m)
}

// reflected does the same as valueIn, for every kind of field.
func (f *field) reflected(m protoreflect.Message) (v protoreflect.Value, set bool) {
	if !m.Has(f.desc) {
		return v, false
	}
	return m.Get(f.desc), true
}

// enumText returns a value of an enum in JSON: its name, or its number if it has no name.
func (f *field) enumText(n protoreflect.EnumNumber) string {
	if f.enums == nil {
		return "null"
	}
	if text, known := f.enums[n]; known {
		return text
	}
	return strconv.Itoa(int(n))
}
