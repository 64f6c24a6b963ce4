//go:build kube

package kubewriter_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshhealth/meshhealth/compat/bed"
	"github.com/meshhealth/meshhealth/health"
)

const leases = "/apis/coordination.k8s.io/v1/namespaces/meshhealth/leases"

// TestRights asks the API server for what the account of the writer may do. With these rights the writer
// works, and without the right to write it says so.
func TestRights(t *testing.T) {
	r := start(t, bed.Options{Istio: true})
	r.Admin.Apply(t, mesh())
	if err := r.createPod(0); err != nil {
		t.Fatal(err)
	}
	process := r.Service(t, bed.ServiceOptions{Service: "hello", Instance: "all", Address: "0.0.0.0:9000"})
	w := r.writer("a", "--workload-entries")
	all := r.gates()
	all.await("True", 1)

	status := `{"status":{}}`
	for _, c := range []struct {
		method, path, contentType, body string
		want                            int
	}{
		{"GET", podPath(0), "", "", http.StatusOK},
		{"PATCH", podPath(0) + "/status", bed.StrategicPatch, status, http.StatusOK},
		{"GET", entryPath(0), "", "", http.StatusOK},
		{"PATCH", entryPath(0) + "/status", bed.MergePatch, status, http.StatusOK},
		{"GET", leases + "/meshhealth-kube", "", "", http.StatusOK},

		{"PATCH", podPath(0), bed.MergePatch, `{"metadata":{"labels":{"a":"b"}}}`, http.StatusForbidden},
		{"PUT", podPath(0) + "/status", "", status, http.StatusForbidden},
		{"DELETE", podPath(0), "", "", http.StatusForbidden},
		{"POST", "/api/v1/namespaces/default/pods", "", "{}", http.StatusForbidden},
		{"POST", podPath(0) + "/eviction", "", "{}", http.StatusForbidden},
		{"PATCH", podPath(0) + "/ephemeralcontainers", bed.StrategicPatch, "{}", http.StatusForbidden},
		{"GET", podPath(0) + "/log", "", "", http.StatusForbidden},
		{"PATCH", entryPath(0), bed.MergePatch, `{"spec":{"weight":1}}`, http.StatusForbidden},
		{"DELETE", entryPath(0), "", "", http.StatusForbidden},
		{"GET", leases, "", "", http.StatusForbidden},
		{"GET", leases + "/other", "", "", http.StatusForbidden},
		{"DELETE", leases + "/meshhealth-kube", "", "", http.StatusForbidden},
		{"GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/meshhealth-kube", "", "", http.StatusForbidden},
		{"GET", "/api/v1/namespaces/meshhealth/secrets", "", "", http.StatusForbidden},
		{"GET", "/api/v1/namespaces/default/configmaps", "", "", http.StatusForbidden},
		{"GET", "/api/v1/namespaces/default/services", "", "", http.StatusForbidden},
		{"GET", "/apis/discovery.k8s.io/v1/endpointslices", "", "", http.StatusForbidden},
		{"GET", "/api/v1/nodes", "", "", http.StatusForbidden},
		{"GET", "/api/v1/namespaces", "", "", http.StatusForbidden},
		{"GET", "/apis/networking.istio.io/v1/serviceentries", "", "", http.StatusForbidden},
		{"GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "", "", http.StatusForbidden},
	} {
		code, answer, err := r.account.Do(t.Context(), c.method, c.path, c.contentType, []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if code != c.want {
			t.Errorf("%s %s: %d, want %d: %.300s", c.method, c.path, code, c.want, answer)
		}
	}

	r.Admin.Delete(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/meshhealth-kube")
	process.Set(t, health.NotServing)
	await(t, "a refused write", func() bool {
		return w.metric(`meshhealth_kube_writes_total{kind="Pod",outcome="refused"}`) > 0
	})
	text, err := os.ReadFile(w.Log())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "check the rights of this program") {
		t.Errorf("the writer does not say that it lacks a right:\n%s", text)
	}
	// With the right, the writer goes on by itself, within a minute.
	r.Admin.Apply(t, manifest(t, "kube.yaml"))
	began := time.Now()
	all.await("False", 1)
	t.Logf("the gate follows %v after the right is back", time.Since(began).Round(time.Second))
}

// TestManifests lets the API server check every object of deploy/k8s strictly: an unknown field or a field
// that occurs twice is an error.
func TestManifests(t *testing.T) {
	b := bed.Start(t, bed.Options{Istio: true})
	b.Admin.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: meshhealth}}")
	plurals := map[string]string{
		"Namespace": "/api/v1/namespaces/", "ServiceAccount": "/api/v1/namespaces/*/serviceaccounts/",
		"ConfigMap": "/api/v1/namespaces/*/configmaps/", "Service": "/api/v1/namespaces/*/services/",
		"StatefulSet": "/apis/apps/v1/namespaces/*/statefulsets/", "Deployment": "/apis/apps/v1/namespaces/*/deployments/",
		"ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/", "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/",
		"Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/*/roles/", "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/*/rolebindings/",
		"ServiceEntry": "/apis/networking.istio.io/v1/namespaces/*/serviceentries/", "WorkloadEntry": "/apis/networking.istio.io/v1/namespaces/*/workloadentries/",
	}
	manifests, err := filepath.Glob("../../../deploy/k8s/*.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatalf("%d manifests, %v", len(manifests), err)
	}
	apply := func(o bed.Object) (int, string) {
		path, ok := plurals[o.Text("kind")]
		if !ok {
			t.Fatalf("kind: is %q; allowed: what this test knows", o.Text("kind"))
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		path = strings.Replace(path, "*", o.Text("metadata", "namespace"), 1) + o.Text("metadata", "name")
		code, answer, err := b.Admin.Do(t.Context(), http.MethodPatch, path+"?fieldManager=test&force=true&fieldValidation=Strict", bed.ApplyPatch, text)
		if err != nil {
			t.Fatal(err)
		}
		return code, string(answer)
	}
	for _, file := range manifests {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		for n := 0; ; n++ {
			var o bed.Object
			if err := decoder.Decode(&o); err != nil {
				if n == 0 {
					t.Errorf("%s: %v", file, err)
				}
				break
			}
			switch {
			case o.Text("kind") == "ConfigMap":
				checkConfig(t, b, o)
			case o.Text("kind") == "Deployment" && o.Text("metadata", "name") == "meshhealth-kube":
				checkArguments(t, b, o)
			}
			if code, answer := apply(o); code/100 != 2 {
				t.Errorf("%s: %s %s: %d %s", file, o.Text("kind"), o.Text("metadata", "name"), code, answer)
			}
			if o.Text("metadata", "name") == "meshhealth-coordinator" && strings.Contains(string(text), "readinessGates:") {
				t.Errorf("%s: the coordinator has a readiness gate", file)
			}
		}
	}
	// The check itself: an unknown field is refused.
	bad := bed.Object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": bed.Object{"namespace": "default", "name": "bad"}, "daat": bed.Object{}}
	if code, answer := apply(bad); code/100 == 2 {
		t.Errorf("an unknown field is accepted: %s", answer)
	}
}

// files replaces the files of a Secret by those of the bed.
func files(b *bed.Bed, text string) string {
	return strings.NewReplacer("/tls/tls.crt", b.Dir+"/cert.pem", "/tls/tls.key", b.Dir+"/key.pem", "/tls/ca.crt", b.Dir+"/cert.pem",
		"/data", b.Dir+"/data").Replace(text)
}

// checkConfig lets the coordinator check the configuration and the access policy in a ConfigMap.
func checkConfig(t *testing.T, b *bed.Bed, configMap bed.Object) {
	t.Helper()
	path := filepath.Join(b.Dir, "meshhealth.yaml")
	for _, name := range []string{"meshhealth.yaml", "access.yaml"} {
		text := configMap.Text("data", name)
		if text == "" {
			t.Errorf("the ConfigMap has no %s", name)
		}
		if err := os.WriteFile(filepath.Join(b.Dir, name), []byte(files(b, text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, err := exec.Command(program("meshhealth"), "coordinator", "--config", path, "--check-config").CombinedOutput()
	if err != nil {
		t.Errorf("the configuration of the coordinator: %v\n%s", err, output)
	}
}

// checkArguments starts the writer with the arguments of its Deployment.
func checkArguments(t *testing.T, b *bed.Bed, deployment bed.Object) {
	t.Helper()
	containers, _ := deployment.At("spec", "template", "spec", "containers").([]any)
	container, _ := containers[0].(map[string]any)
	list, _ := container["args"].([]any)
	var args []string
	for _, a := range list {
		args = append(args, files(b, a.(string)))
	}
	at := bed.FreePort(t)
	args = append(args, "--http", at, "--kubeconfig", b.Admin.Kubeconfig())
	bed.Launch(t, bed.Command{Name: "writer", Path: program("meshhealth-kube"), Args: args, Dir: b.Dir, Ready: answers("http://" + at + "/healthz")})
}
