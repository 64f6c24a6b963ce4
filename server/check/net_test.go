package check_test

import (
	"net"
	"testing"

	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/server/check"
)

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	wantEvidence(t, "listening", check.TCP(address), health.Pass)
	l.Close()
	wantEvidence(t, "closed", check.TCP(address), health.Fail, "refused")
	for _, wrong := range []string{"", "localhost", ":80", "localhost:"} {
		wantEvidence(t, wrong, check.TCP(wrong), health.Fail, "HOST:PORT")
	}
}

func TestDNS(t *testing.T) {
	wantEvidence(t, "there", check.DNS(nil, "localhost"), health.Pass)
	wantEvidence(t, "not there", check.DNS(&net.Resolver{PreferGo: true}, "nobody.invalid"), health.Fail, "nobody.invalid")
	wantEvidence(t, "empty", check.DNS(nil, ""), health.Fail, "is empty")
}
