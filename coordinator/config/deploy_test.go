package config_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/coordinator/config"
	"github.com/meshhealth/meshhealth/health"
	"github.com/meshhealth/meshhealth/internal/access"
)

// TestDeployedConfig checks the configuration and the access policy in deploy/k8s: the rules allow what the
// comments beside them say, and no more.
func TestDeployedConfig(t *testing.T) {
	text, err := os.ReadFile("../../deploy/k8s/coordinator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var found struct {
		Kind string
		Data map[string]string
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	for found.Kind != "ConfigMap" {
		if err := decoder.Decode(&found); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := config.Parse("meshhealth.yaml", []byte(found.Data["meshhealth.yaml"]), "/config")
	if err != nil {
		t.Fatal(err)
	}
	if err := settings.Check(); err != nil {
		t.Error(err)
	}
	policy, err := config.ParseAccessPolicy(filepath.Base(settings.AccessPolicy), []byte(found.Data[filepath.Base(settings.AccessPolicy)]))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := access.Compile(policy)
	if err != nil {
		t.Fatal(err)
	}
	const (
		writer   = "spiffe://cluster.local/ns/meshhealth/sa/meshhealth-kube"
		payments = "spiffe://cluster.local/ns/default/sa/payments"
		envoy    = "spiffe://cluster.local/ns/edge/sa/envoy"
		person   = "spiffe://cluster.local/operator/alice"
	)
	pod, peer, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		who, service     string
		read             access.Detail
		at               netip.Addr
		register         bool
		route, overrides bool
	}{
		{writer, "orders", access.Evidence, pod, true, false, false},
		{writer, "orders", access.Evidence, outside, false, false, false},
		{payments, "payments", access.Status, peer, true, false, false},
		{payments, "payments", access.Status, pod, false, false, false},
		{payments, "orders", access.Status, peer, false, false, false},
		{envoy, "payments", access.Status, peer, false, true, false},
		{envoy, "orders", access.Status, peer, false, false, false},
		{person, "orders", access.Evidence, pod, true, true, true},
		{"unix:uid=65532", "orders", access.Evidence, pod, true, true, true},
		{"unix:uid=1000", "payments", access.Hidden, peer, false, false, false},
		{"", "payments", access.Hidden, peer, false, false, false},
	} {
		rights, name := compiled.For(c.who), access.Of(health.ID{Service: c.service, Instance: "a"})
		_, placed := rights.MayRegister(name, access.Endpoint{IP: c.at, Port: 8081, Peer: peer})
		register := placed > access.PlacedIfProven
		_, route := rights.Allows(access.VerbRoute, name)
		_, overrides := rights.Allows(access.VerbOverride, name)
		if d := rights.Detail(name); d != c.read || register != c.register || route != c.route || overrides != c.overrides {
			t.Errorf("%q, %s at %v: reads %v, registers %v, routes %v, overrides %v", c.who, c.service, c.at, d, register, route, overrides)
		}
	}
}
