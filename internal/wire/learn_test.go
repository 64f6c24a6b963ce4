package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/meshhealth/meshhealth/gen/meshhealth/v1"
	"github.com/meshhealth/meshhealth/internal/access"
)

// TestAccessUse checks that each observation is the same after it was sent.
func TestAccessUse(t *testing.T) {
	for _, o := range []access.Observation{
		{Verb: access.VerbAdmin},
		{Identity: "token:a", Verb: access.VerbRead, Service: "*", Detail: access.Evidence},
		{Identity: "token:a", Verb: access.VerbRead, Service: "pay", Detail: access.Status},
		{Identity: "token:a", Verb: access.VerbOverride, Service: "pay", Longest: time.Hour},
		{Verb: access.VerbRoute, Service: "pay"},
		{Verb: access.VerbReport, Service: "pay"},
		{Verb: access.VerbRegister, Service: "pay", Place: access.Place{Peer: true, Port: 1}},
		{Verb: access.VerbRegister, Service: "pay", Place: access.Place{Host: "db", Port: 65535}},
		{Verb: access.VerbRegister, Service: "pay", Place: access.Place{Host: "db", Port: 1, Network: netip.MustParsePrefix("fd00::1/128"), Proven: true}},
	} {
		b, err := proto.Marshal(AccessUse(&o))
		m := &pb.AccessUse{}
		if err == nil {
			err = proto.Unmarshal(b, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := AccessUseFrom(m); err != nil || got != o {
			t.Errorf("%+v was sent, %+v received, %v", o, got, err)
		}
	}
	for field, m := range map[string]*pb.AccessUse{
		"verb":    {Verb: "frobnicate"},
		"port":    {Verb: "register", Port: 1 << 16},
		"network": {Verb: "register", Port: 1, Network: "10.0.0.1/8"},
	} {
		if o, err := AccessUseFrom(m); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %+v, %v", field, o, err)
		}
	}
}

// TestLearnAccessRequest checks the limits of a request.
func TestLearnAccessRequest(t *testing.T) {
	many := make([]string, MaxLearnNetworks+1)
	for i := range many {
		many[i] = fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255)
	}
	hour := durationpb.New(time.Hour)
	for want, req := range map[string]*pb.LearnAccessRequest{
		"":            {Lasting: hour, Networks: many[1:]},
		"lasting":     {},
		"lasting ":    {Lasting: durationpb.New(25 * time.Hour)},
		"networks":    {Lasting: hour, Networks: many},
		"networks[1]": {Lasting: hour, Networks: []string{"fd00::/8", "10.0.0.1/8"}},
	} {
		lasting, networks, err := LearnAccessRequest(req)
		switch want = strings.TrimSpace(want); {
		case want == "" && (err != nil || lasting != time.Hour || len(networks) != MaxLearnNetworks):
			t.Errorf("%v, %d networks, %v", lasting, len(networks), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), " "+want+": ")):
			t.Errorf("%v, want a fault of %s", err, want)
		}
	}
}
