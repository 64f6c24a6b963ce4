package authority

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := New(filepath.Join(t.TempDir(), "certs"), "mesh.example", noon)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestIssue checks what certificates of each role permit, and that the authority has signed them.
func TestIssue(t *testing.T) {
	a := newAuthority(t)
	for _, c := range []struct {
		subject  Subject
		file     string
		uri      string
		server   bool
		dialable string
	}{
		{Subject{Role: Coordinator, Hosts: []string{"health.example", "10.0.0.7", "::1"}}, "coordinator.pem", "spiffe://mesh.example/coordinator", true, "10.0.0.7"},
		{Subject{Role: Service, Name: "pay", Hosts: []string{"*.pay.example"}}, "service-pay.pem", "spiffe://mesh.example/service/pay", true, "a.pay.example"},
		{Subject{Role: Operator, Name: "ann@example.com"}, "operator-ann@example.com.pem", "spiffe://mesh.example/operator/ann@example.com", false, ""},
	} {
		made, err := a.Issue(&c.subject, 90, noon)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(made.File) != c.file || len(made.URIs) != 1 || made.URIs[0].String() != c.uri {
			t.Errorf("%s with %v, want %s with %s", made.File, made.URIs, c.file, c.uri)
		}
		roots := x509.NewCertPool()
		roots.AddCert(a.Certificate())
		for usage, want := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: c.server} {
			_, err := made.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{usage}})
			if (err == nil) != want {
				t.Errorf("%s for usage %v: %v", c.file, usage, err)
			}
		}
		if err := made.VerifyHostname(c.dialable); c.dialable != "" && err != nil {
			t.Error(err)
		}
		if !made.NotAfter.Equal(noon.AddDate(0, 0, 90)) || !made.NotBefore.Before(noon) || made.IsCA {
			t.Errorf("valid from %v to %v, authority %v", made.NotBefore, made.NotAfter, made.IsCA)
		}
		if info, err := os.Stat(made.KeyFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key %v, %v", info.Mode(), err)
		}
	}
	if info, err := os.Stat(a.KeyFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key of the authority %v, %v", info.Mode(), err)
	}
}

// TestOpen checks that an authority can be opened again, and renews certificates.
func TestOpen(t *testing.T) {
	a := newAuthority(t)
	s := &Subject{Role: Service, Name: "pay", Hosts: []string{"pay"}}
	if none, err := a.Find(s); none != nil || err != nil {
		t.Errorf("before the first: %v, %v", none, err)
	}
	first, err := a.Issue(s, 1, noon)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(a.dir)
	if err != nil || again.Domain() != "mesh.example" {
		t.Fatal(again, err)
	}
	second, err := again.Issue(s, 1, noon)
	if err != nil || second.SerialNumber.Cmp(first.SerialNumber) == 0 || second.File != first.File {
		t.Errorf("the second certificate: %v", err)
	}
	if found, err := again.Find(s); err != nil || !found.Equal(second.Certificate) {
		t.Errorf("found %v, %v", found, err)
	}
	files, err := os.ReadDir(a.dir)
	if err != nil || len(files) != 4 {
		t.Errorf("%d files, want those of the authority and of one certificate: %v", len(files), files)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	leaf := t.TempDir()
	for from, to := range map[string]string{second.File: "ca.pem", second.KeyFile: "ca-key.pem"} {
		text, err := os.ReadFile(from)
		if err = errors.Join(err, os.WriteFile(filepath.Join(leaf, to), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(leaf); err == nil || !strings.Contains(err.Error(), "is no authority") {
		t.Errorf("the certificate of a service: %v", err)
	}
}

// TestNothingIsOverwritten checks that New leaves every existing file as it is.
func TestNothingIsOverwritten(t *testing.T) {
	for _, file := range []string{"ca.pem", "ca-key.pem", "coordinator.pem", "service-pay-key.pem"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, file), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(dir, "mesh.example", noon, &Subject{Role: Coordinator}, &Subject{Role: Service, Name: "pay"})
		if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%s: %v", file, files)
		}
	}
}

// TestRefused checks that values which are not allowed are refused, and that nothing is written.
func TestRefused(t *testing.T) {
	a := newAuthority(t)
	many := slices.Repeat([]string{"a"}, maxHosts+1)
	for want, c := range map[string]struct {
		subject Subject
		days    int
	}{
		"service: is empty":                       {Subject{Role: Service}, 1},
		"service: ":                               {Subject{Role: Service, Name: "../pay"}, 1},
		`operator: is "../ann"; allowed`:          {Subject{Role: Operator, Name: "../ann"}, 1},
		`operator: is ""; allowed`:                {Subject{Role: Operator}, 1},
		`operator: is "ann/bob"`:                  {Subject{Role: Operator, Name: "ann/bob"}, 1},
		`host: is "a b"; allowed`:                 {Subject{Role: Coordinator, Hosts: []string{"a b"}}, 1},
		`host: is "mesh:7070"; allowed`:           {Subject{Role: Coordinator, Hosts: []string{"mesh:7070"}}, 1},
		`host: is "Mesh"; allowed`:                {Subject{Role: Coordinator, Hosts: []string{"Mesh"}}, 1},
		`host: is "*"; allowed`:                   {Subject{Role: Coordinator, Hosts: []string{"*"}}, 1},
		`host: is ""; allowed`:                    {Subject{Role: Coordinator, Hosts: []string{""}}, 1},
		"host: 65 are given; allowed: at most 64": {Subject{Role: Coordinator, Hosts: many}, 1},
		"days: is 0; allowed: 1 to 825":           {Subject{Role: Coordinator}, 0},
		"days: is 826; allowed: 1 to 825":         {Subject{Role: Coordinator}, 826},
	} {
		if _, err := a.Issue(&c.subject, c.days, noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	late := noon.AddDate(10, 0, -30)
	if _, err := a.Issue(&Subject{Role: Coordinator}, 31, late); err == nil || !strings.Contains(err.Error(), "its authority only until 2036-03-04") {
		t.Errorf("beyond the authority: %v", err)
	}
	for _, domain := range []string{"", "Mesh", "mesh/x", "mesh.", ".mesh", "-mesh", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		if _, err := New(t.TempDir(), domain, noon); err == nil {
			t.Errorf("domain %q is accepted", domain)
		}
	}
	if files, _ := os.ReadDir(a.dir); len(files) != 2 {
		t.Errorf("%v was written", files)
	}
}
