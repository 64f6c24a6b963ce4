package compactjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	envoy "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
)

// oracle returns what Append must append.
func oracle(m proto.Message) string {
	spaced, err := protojson.Marshal(m)
	if err != nil {
		return "{}"
	}
	var b bytes.Buffer
	if err := json.Compact(&b, spaced); err != nil {
		return err.Error()
	}
	return b.String()
}

// check compares Append with the oracle. It reports whether the message is one that proto JSON can
// represent.
func check(t *testing.T, m proto.Message) (valid bool) {
	t.Helper()
	before := "before,"
	got := string(Append([]byte(before), m))
	if want := oracle(m); got != before+want {
		t.Fatalf("%T\n%v\nis encoded as\n%s\nwant\n%s", m, m, got, before+want)
	}
	_, err := protojson.Marshal(m)
	return err == nil
}

// TestAppendIsProtojson: the bytes are those of protojson. The messages are random, of every type of
// this project, of a type of Envoy, and of a type with each kind of field.
func TestAppendIsProtojson(t *testing.T) {
	var types []protoreflect.MessageType
	protoregistry.GlobalTypes.RangeMessages(func(m protoreflect.MessageType) bool {
		if m.Descriptor().FullName().Parent() == "meshhealth.v1" {
			types = append(types, m)
		}
		return true
	})
	if len(types) < 50 {
		t.Fatalf("there are only %d types", len(types))
	}
	types = append(types, (&envoy.Cluster{}).ProtoReflect().Type(), everyKind(t))
	for _, m := range types {
		const n = 100
		valid := 0
		for seed := range uint64(n) {
			f := filler{rand.New(rand.NewPCG(1, seed)), seed%10 == 0}
			one := m.New()
			f.fill(one, 0)
			if check(t, one.Interface()) {
				valid++
			}
		}
		if valid < n/2 {
			t.Errorf("only %d of %d messages of type %s were valid", valid, n, m.Descriptor().FullName())
		}
	}
}

// everyKind returns a type with singular, optional, repeated and map fields of each kind, and with
// messages of the same type. Its enum has two values with the same number.
func everyKind(t *testing.T) protoreflect.MessageType {
	text := `name: "kinds.proto" package: "kinds" syntax: "proto3"
		dependency: "google/protobuf/struct.proto" dependency: "google/protobuf/timestamp.proto" dependency: "google/protobuf/duration.proto"
		enum_type { name: "E" options { allow_alias: true }
			value { name: "ZERO" number: 0 } value { name: "ONE" number: 1 } value { name: "UNO" number: 1 } value { name: "MINUS" number: -1 } }
		message_type { name: "M" `
	number := 0
	field := func(name, rest string) {
		number++
		text += fmt.Sprintf("field { name: %q number: %d %s }\n", name, number, rest)
	}
	const entry = "nested_type { name: %q options { map_entry: true } field { name: 'key' number: 1 label: LABEL_OPTIONAL type: %s } field { name: 'value' number: 2 label: LABEL_OPTIONAL %s } }\n"
	oneofs, entries := "oneof_decl { name: 'either' }\n", ""
	kinds := []string{
		"TYPE_BOOL", "TYPE_STRING", "TYPE_BYTES", "TYPE_FLOAT", "TYPE_DOUBLE", "TYPE_INT32", "TYPE_SINT32", "TYPE_SFIXED32", "TYPE_UINT32",
		"TYPE_FIXED32", "TYPE_INT64", "TYPE_SINT64", "TYPE_SFIXED64", "TYPE_UINT64", "TYPE_FIXED64", "TYPE_ENUM type_name: '.kinds.E'",
		"TYPE_MESSAGE type_name: '.kinds.M'", "TYPE_ENUM type_name: '.google.protobuf.NullValue'", "TYPE_MESSAGE type_name: '.google.protobuf.Struct'",
		"TYPE_MESSAGE type_name: '.google.protobuf.Timestamp'", "TYPE_MESSAGE type_name: '.google.protobuf.Duration'",
	}
	for i, kind := range kinds {
		field(fmt.Sprintf("one_%d", i), "label: LABEL_OPTIONAL type: "+kind)
		field(fmt.Sprintf("maybe_%d", i), fmt.Sprintf("label: LABEL_OPTIONAL proto3_optional: true oneof_index: %d type: %s", i+1, kind))
		oneofs += fmt.Sprintf("oneof_decl { name: '_maybe_%d' }\n", i)
		field(fmt.Sprintf("many_%d", i), "label: LABEL_REPEATED type: "+kind)
		field(fmt.Sprintf("values_%d", i), fmt.Sprintf("label: LABEL_REPEATED type: TYPE_MESSAGE type_name: '.kinds.M.Values%dEntry'", i))
		entries += fmt.Sprintf(entry, fmt.Sprintf("Values%dEntry", i), "TYPE_STRING", "type: "+kind)
	}
	for i, kind := range kinds {
		field(fmt.Sprintf("either_%d", i), "label: LABEL_OPTIONAL oneof_index: 0 type: "+kind)
	}
	for i, key := range []string{"BOOL", "INT32", "SINT32", "SFIXED32", "UINT32", "FIXED32", "INT64", "SINT64", "SFIXED64", "UINT64", "FIXED64"} {
		field(fmt.Sprintf("keys_%d", i), fmt.Sprintf("label: LABEL_REPEATED type: TYPE_MESSAGE type_name: '.kinds.M.Keys%dEntry' json_name: 'a \"key\"/%d'", i, i))
		entries += fmt.Sprintf(entry, fmt.Sprintf("Keys%dEntry", i), "TYPE_"+key, "type: TYPE_BOOL")
	}
	file := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(text+entries+oneofs+"}"), file); err != nil {
		t.Fatal(err)
	}
	d, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessageType(d.Messages().ByName("M"))
}

// filler sets random fields of messages.
type filler struct {
	*rand.Rand
	// invalid permits texts, times and durations that proto JSON cannot represent.
	invalid bool
}

func (f filler) fill(m protoreflect.Message, depth int) {
	switch d := m.Descriptor(); d.FullName() {
	case "google.protobuf.Timestamp":
		f.set(m, pick(f, -62135596800, -1, 0, 1, 253402300799, f.Int64N(1<<33)), pick(f, 0, 1, 10, 1000, 120_000, 999_000_000, 999_999_999, f.Int64N(1e9)))
	case "google.protobuf.Duration":
		sign := pick(f, -1, 1)
		f.set(m, sign*pick(f, 0, 1, 59, 315576000000, f.Int64N(1<<30)), sign*pick(f, 0, 1, 1000, 120_000_000, 999_999_999, f.Int64N(1e9)))
	case "google.protobuf.Any", "google.protobuf.Value", "google.protobuf.FieldMask":
		f.special(m)
	default:
		for i := range d.Fields().Len() {
			if field := d.Fields().Get(i); f.IntN(3) > 0 && (depth < 2 || field.Message() == nil) {
				f.setField(m, field, depth)
			}
		}
	}
}

func pick(f filler, values ...int64) int64 { return values[f.IntN(len(values))] }

// set sets the seconds and the nanoseconds of a time or a duration.
func (f filler) set(m protoreflect.Message, seconds, nanos int64) {
	if f.invalid && f.IntN(20) == 0 {
		seconds, nanos = pick(f, seconds, math.MaxInt64, -62135596801, 253402300800, 315576000001), pick(f, nanos, -1, 1e9)
	}
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(seconds))
	m.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(nanos)))
}

// special fills a message that is valid in proto JSON only with some of its contents.
func (f filler) special(m protoreflect.Message) {
	contents := map[protoreflect.FullName][]proto.Message{
		"google.protobuf.Value":     {structpb.NewNullValue(), structpb.NewStringValue(filler{Rand: f.Rand}.text()), structpb.NewNumberValue(0.5)},
		"google.protobuf.FieldMask": {&fieldmaskpb.FieldMask{Paths: []string{"a.b_c", "d"}}},
		"google.protobuf.Any":       {must(anypb.New(timestamppb.Now())), must(anypb.New(&pb.Health{Service: "pay", Root: "a, b"}))},
	}[m.Descriptor().FullName()]
	b, err := proto.Marshal(contents[f.IntN(len(contents))])
	if err == nil {
		err = proto.Unmarshal(b, m.Interface())
	}
	must(0, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (f filler) setField(m protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	n := f.IntN(4)
	switch {
	case field.IsMap():
		all := m.Mutable(field).Map()
		for range n {
			key, value := f.value(field.MapKey(), protoreflect.Value{}, depth), protoreflect.Value{}
			if field.MapValue().Message() != nil {
				value = all.NewValue()
			}
			all.Set(key.MapKey(), f.value(field.MapValue(), value, depth))
		}
	case field.IsList():
		all := m.Mutable(field).List()
		for range n {
			all.Append(f.value(field, all.NewElement(), depth))
		}
	default:
		m.Set(field, f.value(field, m.NewField(field), depth))
	}
}

// value returns a value for a field, or for an element of it. The value empty is used if it is a
// message.
func (f filler) value(field protoreflect.FieldDescriptor, empty protoreflect.Value, depth int) protoreflect.Value {
	n := pick(f, 0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt32, math.MinInt32, f.Int64N(1000), int64(f.Uint64()))
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(f.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(f.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(f.text()))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(pick(f, 0, 1, 2, 3, -1, 1000)))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(f.number()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(f.number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(n)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n))
	}
	f.fill(empty.Message(), depth+1)
	return empty
}

func (f filler) number() float64 {
	return []float64{
		0, math.Copysign(0, -1), 1, -0.25, 0.1, 1e-6, 9.99e-7, 1e-7, 1e-10, 1e20, 1e21, -1e21, 123456789, math.MaxFloat64, math.MaxFloat32,
		math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat32, math.NaN(), math.Inf(1), math.Inf(-1), f.NormFloat64(),
		math.Ldexp(f.NormFloat64(), f.IntN(200)-100),
	}[f.IntN(22)]
}

func (f filler) text() string {
	parts := []string{
		"", "plain", `"`, `\`, "/", "<b>&'", "\x00", "\x01\x1f\x7f", "\b\f\n\r\t", "äöü 世界", "\u2028\u2029", "😀", "\ufffd", "{a, b}", ": ",
	}
	if f.invalid {
		parts = append(parts, "\xff", "a\xc3", "\xed\xa0\x80")
	}
	s := ""
	for range f.IntN(4) {
		s += parts[f.IntN(len(parts))]
	}
	return s
}

// TestAppendSpecial: messages of other forms, without content, and invalid ones.
func TestAppendSpecial(t *testing.T) {
	number := int32(-5)
	for _, m := range []proto.Message{
		nil, (*pb.Health)(nil), &pb.Health{}, (*timestamppb.Timestamp)(nil), &timestamppb.Timestamp{Seconds: -1}, &durationpb.Duration{Nanos: -1},
		&pb.WatchResponse{Entries: []*pb.Health{nil, {}, nil}}, &pb.WatchResponse{At: &timestamppb.Timestamp{Nanos: -1}},
		&pb.Health{Labels: map[string]string{"\xff": "", "a": ""}}, &pb.Health{Service: "\xff"}, &pb.Health{Status: 99},
		wrapperspb.String("a, b"), wrapperspb.UInt64(5), structpb.NewNullValue(), &anypb.Any{}, &anypb.Any{TypeUrl: "none/none", Value: []byte{1}},
		must(structpb.NewStruct(map[string]any{"a": []any{1, nil, "b, c"}, "b": map[string]any{"<": true}})),
		&descriptorpb.UninterpretedOption_NamePart{}, &descriptorpb.FieldDescriptorProto{Number: &number},
		&descriptorpb.UninterpretedOption{Name: []*descriptorpb.UninterpretedOption_NamePart{{}}},
		protodesc.ToFileDescriptorProto(pb.File_meshhealth_v1_health_proto),
	} {
		check(t, m)
	}
}

// FuzzAppend compares the bytes for all that can be received as a Health or a WatchResponse.
func FuzzAppend(f *testing.F) {
	for _, m := range []proto.Message{instance(), &pb.WatchResponse{Epoch: 1, Entries: []*pb.Health{instance(), aggregate()}}} {
		f.Add(must(proto.Marshal(m)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []proto.Message{&pb.Health{}, &pb.WatchResponse{}} {
			if proto.Unmarshal(b, m) == nil {
				check(t, m)
			}
		}
	})
}

// BenchmarkAppend compares Append with protojson and json.Compact.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name string
		h    *pb.Health
	}{{"instance", instance()}, {"aggregate", aggregate()}} {
		b.Run(c.name+"/compactjson", func(b *testing.B) {
			b.ReportAllocs()
			var text []byte
			for b.Loop() {
				text = Append(text[:0], c.h)
			}
		})
		b.Run(c.name+"/protojson", func(b *testing.B) {
			b.ReportAllocs()
			var text bytes.Buffer
			for b.Loop() {
				text.Reset()
				spaced := must(protojson.Marshal(c.h))
				must(0, json.Compact(&text, spaced))
			}
		})
	}
}

// instance returns an instance with a failed check, as a coordinator publishes it.
func instance() *pb.Health {
	at := timestamppb.New(time.Unix(1_700_000_000, 123_456_789))
	const reason = "dial tcp 127.0.0.1:40551: connect: connection refused"
	return &pb.Health{
		Service: "payments", Instance: "payments-7f9c", Status: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_FAILED, Reason: "storage: " + reason,
		Since: at, Age: durationpb.New(1234567 * time.Microsecond), Root: "db.primary", FirstFailure: at,
		Checks: []*pb.CheckHealth{{
			Name: "storage", Status: pb.Status_STATUS_NOT_SERVING, Cause: pb.Cause_CAUSE_FAILED, Reason: reason,
			LastRunAge: durationpb.New(time.Millisecond), ResponseTime: durationpb.New(340 * time.Microsecond), Fails: 3, Runs: 1234, Failures: 3,
		}},
		Address: "10.1.2.3:7070", Labels: map[string]string{"team": "billing", "tier": "backend"}, Zone: "eu-1", Version: "1.2.3",
		Incarnation: "3f2a9c0d11e2", Revision: 123456, At: at, Endpoint: "10.1.2.3:8080", Metrics: &pb.Metrics{
			Runs: 1234, Failures: 3, ResponseTimeP50: durationpb.New(time.Millisecond), ResponseTimeP99: durationpb.New(2 * time.Millisecond),
			Gauges: map[string]float64{"load": 0.25},
		},
	}
}

// aggregate returns a service, as a coordinator publishes it.
func aggregate() *pb.Health {
	at := timestamppb.New(time.Unix(1_700_000_000, 123_456_789))
	return &pb.Health{
		Service: "payments", Status: pb.Status_STATUS_DEGRADED, Cause: pb.Cause_CAUSE_WARNED, Reason: "3 of 3 routable, 3 DEGRADED", Since: at,
		Age: durationpb.New(1234567 * time.Microsecond), Counts: &pb.Counts{Degraded: 3, Counted: 3}, Revision: 123457, At: at,
		Dependencies: []*pb.Dependency{{Service: "db.primary"}, {Service: "cache", Soft: true}},
	}
}
