package wire

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/health"
)

// registrationOf is a good one, changed.
func registrationOf(change func(*pb.Registration)) *pb.Registration {
	r := &pb.Registration{Service: "pay", Instance: "pay-1:50051", Address: "10.0.0.1:50051", Incarnation: "i1"}
	change(r)
	return r
}

func labels(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint("key", i)] = "v"
	}
	return m
}

func TestRegistrations(t *testing.T) {
	const chars = "allowed: 1 to 255 of [A-Za-z0-9._-]"
	seconds := func(n int64) *durationpb.Duration { return &durationpb.Duration{Seconds: n} }
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name   string
		change func(*pb.Registration)
		want   []refusal
	}{
		{"good", func(*pb.Registration) {}, nil},
		{"all empty", func(r *pb.Registration) { proto.Reset(r) }, []refusal{
			{"service", "is empty; " + chars},
			{"instance", "is empty; allowed: 1 to 255 of [A-Za-z0-9._:-]"},
			{"address", "is not an address"},
			{"incarnation", "has 0 bytes; allowed: 1 to 64"},
		}},
		{"longest names", func(r *pb.Registration) { r.Service, r.Instance = long(255), long(255) }, nil},
		{"name too long", func(r *pb.Registration) { r.Service = long(256) }, []refusal{{"service", "has 256 bytes; " + chars}}},
		{"colon in service", func(r *pb.Registration) { r.Service = "a:b" }, []refusal{{"service", "has ':' in it; " + chars}}},
		{"slash in instance", func(r *pb.Registration) { r.Instance = "a/b" }, []refusal{{"instance", "has '/' in it; allowed"}}},
		{"control characters", func(r *pb.Registration) { r.Service = "a\nb" }, []refusal{{"service", `has '\n' in it`}}},
		{"wrong UTF-8", func(r *pb.Registration) { r.Service = "a\xff" }, []refusal{{"service", "in it; " + chars}}},
		{"other scripts", func(r *pb.Registration) { r.Instance = "健" }, []refusal{{"instance", "has '健' in it"}}},
		{"the mesh's name", func(r *pb.Registration) { r.Service = "*" }, []refusal{{"service", "has '*' in it"}}},
		{"own host", func(r *pb.Registration) { r.Address = ":8080" }, nil},
		{"IPv6", func(r *pb.Registration) { r.Address = "[fe80::1%eth0]:80" }, nil},
		{"no port", func(r *pb.Registration) { r.Address = "host" }, []refusal{{"address", `"host" is not an address`}}},
		{"port 0", func(r *pb.Registration) { r.Address = "host:0" }, []refusal{{"address", `port "0" is none; allowed: 1 to 65535`}}},
		{"port too high", func(r *pb.Registration) { r.Address = "host:65536" }, []refusal{{"address", "allowed: 1 to 65535"}}},
		{"port by name", func(r *pb.Registration) { r.Address = "host:http" }, []refusal{{"address", "allowed: 1 to 65535"}}},
		{"space in host", func(r *pb.Registration) { r.Address = "a b:80" }, []refusal{{"address", "host has ' ' in it; allowed: a DNS name or an IP address"}}},
		{"URL", func(r *pb.Registration) { r.Address = "dns:///x:80" }, []refusal{{"address", "is not an address"}}},
		{"address too long", func(r *pb.Registration) { r.Address = long(259) + ":80" }, []refusal{{"address", "has 262 bytes; allowed: at most 261"}}},
		{"health name", func(r *pb.Registration) { r.HealthName = "a.B/c d" }, nil},
		{"health name too long", func(r *pb.Registration) { r.HealthName = long(256) }, []refusal{{"health_name", "has 256 bytes; allowed: at most 255"}}},
		{"health name with controls", func(r *pb.Registration) { r.HealthName = "a\x1bb" }, []refusal{{"health_name", "control characters"}}},
		{"incarnation too long", func(r *pb.Registration) { r.Incarnation = long(65) }, []refusal{{"incarnation", "has 65 bytes; allowed: 1 to 64"}}},
		{"incarnation not ASCII", func(r *pb.Registration) { r.Incarnation = "é" }, []refusal{{"incarnation", "allowed: printable ASCII"}}},
		{"64 labels", func(r *pb.Registration) { r.Labels = labels(64) }, nil},
		{"10,000 labels", func(r *pb.Registration) { r.Labels = labels(10_000) }, []refusal{{"labels", "has 10000; allowed: at most 64"}}},
		{"empty key", func(r *pb.Registration) { r.Labels = map[string]string{"": "v"} }, []refusal{{"labels", `key "" is not 1 to 63 of`}}},
		{"key too long", func(r *pb.Registration) { r.Labels = map[string]string{long(64): "v"} }, []refusal{{"labels", "is not 1 to 63 of [A-Za-z0-9._/-]"}}},
		{"key with spaces", func(r *pb.Registration) { r.Labels = map[string]string{"a b": "v"} }, []refusal{{"labels", `key "a b" is not`}}},
		{"value too long", func(r *pb.Registration) { r.Labels = map[string]string{"a": long(256)} }, []refusal{{"labels", `value of "a" has 256 bytes; allowed: at most 255`}}},
		{"value with controls", func(r *pb.Registration) { r.Labels = map[string]string{"a": "x\ny"} }, []refusal{{"labels", `value of "a" has control characters`}}},
		{"zone and version too long", func(r *pb.Registration) { r.Zone, r.Version = long(64), long(129) }, []refusal{
			{"zone", "has 64 bytes; allowed: at most 63"}, {"version", "has 129 bytes; allowed: at most 128"},
		}},
		{"server name too long", func(r *pb.Registration) { r.ServerName = long(254) }, []refusal{{"server_name", "has 254 bytes; allowed: at most 253"}}},
		{"server name with controls", func(r *pb.Registration) { r.ServerName = "a\nb" }, []refusal{{"server_name", `has '\n' in it; allowed: a DNS name`}}},
		{"TTL at the ends", func(r *pb.Registration) { r.Ttl = seconds(600) }, nil},
		{"TTL too short", func(r *pb.Registration) { r.Ttl = seconds(2) }, []refusal{{"ttl", "is 2s; allowed: 3s to 10m0s"}}},
		{"TTL too long", func(r *pb.Registration) { r.Ttl = seconds(601) }, []refusal{{"ttl", "is 10m1s; allowed: 3s to 10m0s"}}},
		{"TTL negative", func(r *pb.Registration) { r.Ttl = seconds(-5) }, []refusal{{"ttl", "is -5s; allowed: 3s"}}},
		{"TTL no duration", func(r *pb.Registration) { r.Ttl = &durationpb.Duration{Seconds: 5, Nanos: -1} }, []refusal{{"ttl", "is not a duration"}}},
		{"static", func(r *pb.Registration) { r.Static, r.Incarnation = true, "" }, nil},
		{"key", func(r *pb.Registration) { r.Key, r.Proves = make([]byte, 32), true }, nil},
		{"key that proves nothing", func(r *pb.Registration) { r.Key = make([]byte, 32) }, nil},
		{"key too short", func(r *pb.Registration) { r.Key = []byte("secret") }, []refusal{{"key", "has 6 bytes; allowed: 32, or none"}}},
		{"key too long", func(r *pb.Registration) { r.Key = make([]byte, 33) }, []refusal{{"key", "has 33 bytes; allowed: 32, or none"}}},
		{"static with a key", func(r *pb.Registration) { r.Static, r.Incarnation, r.Key = true, "", make([]byte, 32) }, []refusal{
			{"key", "is given for a static registration; allowed: none"},
		}},
		{"proves without a key", func(r *pb.Registration) { r.Proves = true }, []refusal{{"proves", "is true without a key; allowed: true with a key, or false"}}},
		{"protocol", func(r *pb.Registration) { r.Protocol = "check" }, nil},
		{"no protocol", func(r *pb.Registration) { r.Protocol = "http" }, []refusal{{"protocol", `"http" is no protocol; allowed: auto, meshhealth, watch or check`}}},
		{"critical", func(r *pb.Registration) { r.Critical = true }, nil},
		{"critical and optional", func(r *pb.Registration) { r.Critical, r.Optional = true, true }, []refusal{
			{"critical", "is true beside optional; allowed: one of them"},
		}},
		{"traffic", func(r *pb.Registration) {
			r.Traffic = &pb.Traffic{Address: "10.0.0.2:80", Weight: 128, TlsNames: []string{"a.example", "spiffe://example/pay", "10.0.0.2"}}
		}, nil},
		{"traffic on another port", func(r *pb.Registration) { r.Traffic = &pb.Traffic{Address: ":80"} }, nil},
		{"traffic of the same name", func(r *pb.Registration) {
			r.Address, r.Traffic = "pay.example:81", &pb.Traffic{Address: "pay.example:80"}
		}, nil},
		{"traffic of another name", func(r *pb.Registration) { r.Traffic = &pb.Traffic{Address: "pay.example:80"} }, []refusal{
			{"traffic.address", `host "pay.example" is a name; allowed: an IP address, no host, or the host of address ("10.0.0.1")`},
		}},
		{"traffic without a port", func(r *pb.Registration) { r.Traffic = &pb.Traffic{Address: "10.0.0.1"} }, []refusal{{"traffic.address", `"10.0.0.1" is not an address`}}},
		{"weight too high", func(r *pb.Registration) { r.Traffic = &pb.Traffic{Weight: 129} }, []refusal{{"traffic.weight", "is 129; allowed: 1 to 128, 0 for 1"}}},
		{"17 TLS names", func(r *pb.Registration) { r.Traffic = &pb.Traffic{TlsNames: strings.Fields(strings.Repeat("a ", 17))} }, []refusal{
			{"traffic.tls_names", "has 17; allowed: at most 16"},
		}},
		{"empty TLS name", func(r *pb.Registration) { r.Traffic = &pb.Traffic{TlsNames: []string{"a", ""}} }, []refusal{
			{"traffic.tls_names", "has an empty name at index 1; allowed: a DNS name, a URI or an IP address"},
		}},
		{"TLS name with controls", func(r *pb.Registration) { r.Traffic = &pb.Traffic{TlsNames: []string{"a\nb"}} }, []refusal{{"traffic.tls_names", "at index 0 that has control characters"}}},
		{"region too long", func(r *pb.Registration) { r.Region = long(64) }, []refusal{{"region", "has 64 bytes; allowed: at most 63"}}},
		{"source", func(r *pb.Registration) { r.Static, r.Incarnation, r.Source = true, "", "meshhealth-kube" }, nil},
		{"source with a lease", func(r *pb.Registration) { r.Source = "kube" }, []refusal{{"source", "is given for an instance with a lease; allowed: a source of a static registration"}}},
		{"source too long", func(r *pb.Registration) { r.Static, r.Incarnation, r.Source = true, "", long(64) }, []refusal{{"source", "has 64 bytes; allowed: at most 63"}}},
		{"source with a slash", func(r *pb.Registration) { r.Static, r.Incarnation, r.Source = true, "", "a/b" }, []refusal{{"source", "has '/' in it; allowed: 1 to 63 of"}}},
		{"static with a lease", func(r *pb.Registration) { r.Static, r.Ttl = true, seconds(30) }, []refusal{
			{"incarnation", "static registration"}, {"ttl", "static registration"},
		}},
	} {
		_, err := Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{registrationOf(c.change)}})
		for i := range c.want {
			c.want[i].field = "registrations[0]." + c.want[i].field
		}
		refuses(t, c.name, err, c.want)
	}
}

func TestRegistrationsTogether(t *testing.T) {
	same := func(*pb.Registration) {}
	several := func(n int) (list []*pb.Registration) {
		for i := range n {
			list = append(list, registrationOf(func(r *pb.Registration) { r.Instance = fmt.Sprint(i) }))
		}
		return list
	}
	for _, c := range []struct {
		name string
		list []*pb.Registration
		want []refusal
	}{
		{"none", nil, []refusal{{"registrations", "has 0; allowed: 1 to 500"}}},
		{"500", several(500), nil},
		{"501", several(501), []refusal{{"registrations", "has 501; allowed: 1 to 500"}}},
		{"twice", []*pb.Registration{registrationOf(same), registrationOf(same)}, []refusal{{"registrations[1]", "same instance as registrations[0]"}}},
		{"a hole", []*pb.Registration{nil}, []refusal{
			{"registrations[0].service", "is empty"},
			{"registrations[0].instance", "is empty"},
			{"registrations[0].address", "is not an address"},
			{"registrations[0].incarnation", "has 0 bytes"},
		}},
	} {
		out, err := Registrations(&pb.RegisterRequest{Registrations: c.list})
		refuses(t, c.name, err, c.want)
		if err == nil && len(out) != len(c.list) {
			t.Errorf("%s: %d come out", c.name, len(out))
		}
	}
}

func TestRegistrationIsTakenOver(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	out, err := Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{registrationOf(func(r *pb.Registration) {
		r.Key, r.Proves, r.Protocol = secret, true, "watch"
		r.HealthName, r.Zone, r.Version, r.ServerName, r.Labels = "h", "z-1", "v", "s", map[string]string{"a": "b"}
	})}})
	if err != nil {
		t.Fatal(err)
	}
	got := out[0]
	if got.ID != (health.ID{Service: "pay", Instance: "pay-1:50051"}) || got.Spec.Address != "10.0.0.1:50051" ||
		got.Spec.HealthName != "h" || got.Spec.Zone != "z-1" || got.Spec.Version != "v" || got.Spec.ServerName != "s" ||
		got.Spec.Labels["a"] != "b" || got.Spec.Incarnation != "i1" || got.Spec.TTL != DefaultTTL || got.Spec.Static ||
		!bytes.Equal(got.Spec.Key.Bytes(), secret) || !got.Spec.Proves || got.Spec.Protocol != health.ProtocolWatch {
		t.Errorf("%+v", got)
	}
}

// protobuf itself refuses strings that are not UTF-8: the call fails before we
// see it.
func TestWrongUTF8IsRefusedByProtobuf(t *testing.T) {
	raw := []byte{0x0a, 0x04, 0x0a, 0x02, 'a', 0xff} // registrations[0].service
	if err := proto.Unmarshal(raw, &pb.RegisterRequest{}); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("unmarshalled with %v", err)
	}
}

var (
	goodService  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
	goodInstance = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,255}$`)
)

// FuzzRegistration: never panics, and what is accepted holds the limits.
func FuzzRegistration(f *testing.F) {
	f.Add("pay", "1", ":80", "", "i1", "k", "v", "zone", "name", int64(30), false, []byte{})
	f.Add("pay", "1", ":80", "", "i1", "k", "v", "zone", "name", int64(30), false, marshalled(f, &pb.RegisterRequest{Registrations: []*pb.Registration{
		registrationOf(func(r *pb.Registration) {
			r.Key, r.Proves, r.Protocol, r.Critical = make([]byte, 32), true, "watch", true
		}),
		registrationOf(func(r *pb.Registration) {
			r.Instance, r.Key, r.Proves, r.Optional, r.Critical = "2", make([]byte, 31), true, true, true
		}),
	}}))
	f.Add("a\xff", "", "[::1]:80", "\x1b", "", "", "", "", "a b", int64(-1), true, []byte("\n\x04\n\x02ab"))
	f.Fuzz(func(t *testing.T, service, instance, address, healthName, incarnation, key, value, zone, server string, ttl int64, static bool, raw []byte) {
		req := &pb.RegisterRequest{}
		if proto.Unmarshal(raw, req) != nil {
			req = &pb.RegisterRequest{}
		}
		r := &pb.Registration{
			Service: service, Instance: instance, Address: address, HealthName: healthName, Incarnation: incarnation,
			Labels: map[string]string{key: value}, Zone: zone, Version: zone, ServerName: server, Static: static,
		}
		if !static {
			r.Ttl = &durationpb.Duration{Seconds: ttl}
		}
		req.Registrations = append(req.Registrations, r)
		accepted, err := Registrations(req)
		if err != nil {
			violationsOf(t, "fuzzed", err)
			return
		}
		for i := range accepted {
			holdsLimits(t, &accepted[i])
		}
	})
}

func marshalled(f *testing.F, m proto.Message) []byte {
	raw, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}

func holdsLimits(t *testing.T, r *Registration) {
	host, port, err := net.SplitHostPort(r.Spec.Address)
	s := &r.Spec
	for what, ok := range map[string]bool{
		"service": goodService.MatchString(r.ID.Service), "instance": goodInstance.MatchString(r.ID.Instance),
		"address": err == nil && port != "" && len(s.Address) <= MaxAddress && !strings.ContainsAny(host, " \n\x00"),
		"health":  len(s.HealthName) <= MaxName && Clean(s.HealthName) == s.HealthName,
		"inc":     s.Static == (s.Incarnation == "") && len(s.Incarnation) <= MaxIncarnation,
		"labels":  len(s.Labels) <= MaxLabels, "zone": len(s.Zone) <= MaxZone && utf8.ValidString(s.Zone),
		"version": len(s.Version) <= MaxVersion && utf8.ValidString(s.Version),
		"server":  len(s.ServerName) <= MaxServerName && Clean(s.ServerName) == s.ServerName,
		"key":     s.Key.IsZero() && !s.Proves || !s.Static && len(s.Key.Bytes()) == 32,
		"judge":   s.Judge == nil || !s.Judge.Critical || !s.Judge.Optional,
		"ttl":     s.Static && s.TTL == 0 || s.TTL >= 3*time.Second && s.TTL <= 10*time.Minute,
	} {
		if !ok {
			t.Errorf("%s: %+v is accepted", what, r)
		}
	}
	for k, v := range s.Labels {
		if k == "" || len(k) > MaxLabelKey || len(v) > MaxLabelValue || Clean(v) != v {
			t.Errorf("label %q=%q is accepted", k, v)
		}
	}
}

// TestJudgeOfARegistration: how an instance wants its service to be judged.
func TestJudgeOfARegistration(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*pb.Registration)
		want *health.ServicePolicy
		bad  []refusal
	}{
		{"nothing", func(*pb.Registration) {}, nil, nil},
		{"a rule", func(r *pb.Registration) { r.Rule = "at-least-2" }, &health.ServicePolicy{Rule: health.AtLeast(2)}, nil},
		{"available", func(r *pb.Registration) { r.Rule = "available" }, &health.ServicePolicy{Rule: health.Available}, nil},
		{"the rest", func(r *pb.Registration) { r.MinAvailable, r.Optional = 60, true }, &health.ServicePolicy{MinAvailable: 60, Optional: true}, nil},
		{"critical", func(r *pb.Registration) { r.Critical = true }, &health.ServicePolicy{Critical: true}, nil},
		{"no rule", func(r *pb.Registration) { r.Rule = "at-least-0" }, nil, []refusal{{"registrations[0].rule", `"at-least-0" is no rule; allowed: available, worst`}}},
		{"too much", func(r *pb.Registration) { r.MinAvailable = 1 << 31 }, nil, []refusal{{"registrations[0].min_available", "allowed: 1 to 100"}}},
	} {
		out, err := Registrations(&pb.RegisterRequest{Registrations: []*pb.Registration{registrationOf(c.edit)}})
		refuses(t, c.name, err, c.bad)
		if len(c.bad) > 0 {
			continue
		}
		if got := out[0].Spec.Judge; (got == nil) != (c.want == nil) || got != nil && (got.Rule != c.want.Rule || got.MinAvailable != c.want.MinAvailable || got.Optional != c.want.Optional || got.Critical != c.want.Critical) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
