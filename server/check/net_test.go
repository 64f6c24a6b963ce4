package check_test

import (
	"net"
	"testing"

	"github.com/meshhealth/meshhealth/internal/machine"

	"github.com/meshhealth/meshhealth/internal/nettest"
	"github.com/meshhealth/meshhealth/server/check"
)

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wantEvidence(t, "listening", check.TCP(l.Addr().String()), machine.Pass)
	wantEvidence(t, "closed", check.TCP(nettest.Refusing(t)), machine.Fail, "refused")
	for _, wrong := range []string{"", "localhost", ":80", "localhost:"} {
		wantEvidence(t, wrong, check.TCP(wrong), machine.Fail, "HOST:PORT")
	}
}

func TestDNS(t *testing.T) {
	wantEvidence(t, "there", check.DNS(nil, "localhost"), machine.Pass)
	wantEvidence(t, "not there", check.DNS(&net.Resolver{PreferGo: true}, "nobody.invalid"), machine.Fail, "nobody.invalid")
	wantEvidence(t, "empty", check.DNS(nil, ""), machine.Fail, "is empty")
}
