package compactjson

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Append appends m in proto JSON without spaces to b. It appends {} if proto JSON cannot represent
// m: a text is not UTF-8, or a time or a duration is out of range.
func Append(b []byte, m proto.Message) []byte {
	if m != nil {
		if all, ok := appendMessage(b, m.ProtoReflect()); ok {
			return all
		}
	}
	if all, ok := appendSpecial(b, m); ok {
		return all
	}
	return append(b, "{}"...)
}

// appendMessage appends a message. ok is false if proto JSON cannot represent it. This is also what
// ok means in the functions below.
func appendMessage(b []byte, m protoreflect.Message) (all []byte, ok bool) {
	switch t := m.Interface().(type) {
	case *timestamppb.Timestamp:
		return appendTimestamp(b, t)
	case *durationpb.Duration:
		return appendDuration(b, t)
	}
	if !m.IsValid() { // a nil pointer
		return appendSpecial(b, m.Interface())
	}
	p := planOf(m)
	if p.special {
		return appendSpecial(b, m.Interface())
	}
	b = append(b, '{')
	empty, s := len(b), structOf(m)
	for i := range p.fields {
		f := &p.fields[i]
		v, set := f.valueIn(m, s)
		if !set {
			continue
		}
		if len(b) > empty {
			b = append(b, ',')
		}
		if b, ok = appendField(append(b, f.key...), f, v); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// appendSpecial appends a message that only protojson writes.
func appendSpecial(b []byte, m proto.Message) (all []byte, ok bool) {
	spaced, err := protojson.Marshal(m)
	if err != nil {
		return b, false
	}
	compact := bytes.NewBuffer(b)
	err = json.Compact(compact, spaced)
	return compact.Bytes(), err == nil
}

// appendField appends the value of a field that is set.
func appendField(b []byte, f *field, v protoreflect.Value) (all []byte, ok bool) {
	switch {
	case f.desc.IsMap():
		return appendMap(b, f, v.Map())
	case f.desc.IsList():
		return appendList(b, f, v.List())
	}
	return appendValue(b, f, v)
}

func appendList(b []byte, f *field, list protoreflect.List) (all []byte, ok bool) {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = appendValue(b, f, list.Get(i)); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

// entry is an element of a map.
type entry struct {
	key   protoreflect.MapKey
	value protoreflect.Value
}

func appendMap(b []byte, f *field, m protoreflect.Map) (all []byte, ok bool) {
	entries := make([]entry, 0, m.Len())
	m.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		entries = append(entries, entry{key, value})
		return true
	})
	slices.SortFunc(entries, byKey)
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		if b, ok = appendText(b, e.key.String()); !ok {
			return b, false
		}
		if b, ok = appendValue(append(b, ':'), f, e.value); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// byKey orders the entries of a map as protojson does: numbers by value, and false before true.
func byKey(x, y entry) int {
	switch x.key.Interface().(type) {
	case string:
		return cmp.Compare(x.key.String(), y.key.String())
	case bool:
		return cmp.Compare(x.key.String(), y.key.String()) // "false" is before "true"
	case int32, int64:
		return cmp.Compare(x.key.Int(), y.key.Int())
	}
	return cmp.Compare(x.key.Uint(), y.key.Uint())
}

// appendValue appends a value of a field, an element of a list, or a value of a map.
func appendValue(b []byte, f *field, v protoreflect.Value) (all []byte, ok bool) {
	switch f.kind {
	case protoreflect.BoolKind:
		b = strconv.AppendBool(b, v.Bool())
	case protoreflect.StringKind:
		return appendText(b, v.String())
	case protoreflect.EnumKind:
		return append(b, f.enumText(v.Enum())...), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		b = strconv.AppendInt(b, v.Int(), 10)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		b = strconv.AppendUint(b, v.Uint(), 10)
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		b = append(strconv.AppendInt(append(b, '"'), v.Int(), 10), '"')
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		b = append(strconv.AppendUint(append(b, '"'), v.Uint(), 10), '"')
	case protoreflect.FloatKind:
		b = appendFloat(b, v.Float(), 32)
	case protoreflect.DoubleKind:
		b = appendFloat(b, v.Float(), 64)
	case protoreflect.BytesKind:
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), v.Bytes()), '"')
	default: // messages and groups
		return appendMessage(b, v.Message())
	}
	return b, true
}
