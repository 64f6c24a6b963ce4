package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// serve starts an HTTP server that stands for the API server, and returns a Cluster for it. The tests in
// compat/bed/kubewriter have a real one; it cannot be told which errors to answer with.
func serve(t *testing.T, handle http.HandlerFunc) *Cluster {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	config := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"users": [{"name": "u", "user": {"token": "t"}}], "clusters": [{"name": "c", "cluster": {"server": %q}}]}`, server.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Kubeconfig: config, Source: "kube-test", Agent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const pod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "n", "name": "p", "uid": "u", "resourceVersion": "7", "labels": {"meshhealth.dev/follow": "true"}}}`

func TestWrite(t *testing.T) {
	write := plan.Write{Key: plan.Key{Kind: plan.Pod, Namespace: "n", Name: "p"}, UID: "u", Status: true, Strategic: true, Body: []byte(`{"a":1}`)}
	for _, c := range []struct {
		code    int
		after   string
		outcome plan.Outcome
		pause   time.Duration
		calls   []string
	}{
		{200, "", plan.Written, 0, []string{"PATCH"}},
		{409, "", plan.Conflict, 0, []string{"PATCH", "GET"}},
		{404, "", plan.Refused, 0, []string{"PATCH"}},
		{422, "", plan.Refused, 0, []string{"PATCH"}},
		{403, "", plan.Refused, 0, []string{"PATCH"}},
		{429, "7", plan.Throttled, 7 * time.Second, []string{"PATCH"}},
		{429, "", plan.Throttled, time.Second, []string{"PATCH"}},
		{503, "3", plan.Throttled, 3 * time.Second, []string{"PATCH"}},
		{503, "", plan.Failed, 0, []string{"PATCH"}},
		{500, "", plan.Failed, 0, []string{"PATCH"}},
	} {
		var calls []string
		cluster := serve(t, func(w http.ResponseWriter, r *http.Request) {
			calls = append(calls, r.Method)
			w.Header().Set("Content-Type", "application/json")
			if r.Method == http.MethodGet {
				fmt.Fprint(w, pod)
				return
			}
			text, _ := io.ReadAll(r.Body)
			if r.URL.Path != "/api/v1/namespaces/n/pods/p/status" || string(text) != `{"a":1}` || r.Header.Get("Content-Type") != "application/strategic-merge-patch+json" {
				t.Errorf("the request is %s %s %s", r.URL, text, r.Header)
			}
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.code)
			if c.code == 200 {
				fmt.Fprint(w, pod)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": c.code, "message": "no"})
		})
		r, err := cluster.Write(t.Context(), write)
		if r.Outcome != c.outcome || r.Pause != c.pause || (err == nil) != (c.outcome == plan.Written || c.outcome == plan.Conflict) {
			t.Errorf("%d: outcome %d, pause %v, %v; want %d, %v", c.code, r.Outcome, r.Pause, err, c.outcome, c.pause)
		}
		if hasObject := r.Object != nil && r.Object.UID == "u" && r.Object.Version == 7; hasObject != (err == nil) {
			t.Errorf("%d: the object is %v", c.code, r.Object)
		}
		if !slices.Equal(calls, c.calls) {
			t.Errorf("%d: the calls are %q; want %q", c.code, calls, c.calls)
		}
	}
}

func TestWriteWithoutAnswer(t *testing.T) {
	cluster := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r, err := cluster.Write(t.Context(), plan.Write{Key: plan.Key{Namespace: "n", Name: "p"}})
	if r.Outcome != plan.Failed || err == nil {
		t.Errorf("outcome %d, %v; want a failure", r.Outcome, err)
	}
}

func TestImported(t *testing.T) {
	imported := `{"metadata": {"namespace": "n", "name": "p", "uid": "u", "labels": {"meshhealth.dev/follow": "import"},
		"annotations": {"meshhealth.dev/service": "s", "meshhealth.dev/port": "1"}}, "status": {"podIP": "10.0.0.1"}, "apiVersion": "v1", "kind": "Pod"}`
	for _, c := range []struct {
		name string
		code int
		body string
		uid  string
		want bool
		err  bool
	}{
		{"it exists", 200, imported, "u", true, false},
		{"another Pod has the name", 200, imported, "v", false, false},
		{"it is not imported any more", 200, pod, "u", false, false},
		{"it is gone", 404, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`, "u", false, false},
		{"nobody knows", 500, "", "u", false, true},
	} {
		cluster := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.code)
			fmt.Fprint(w, c.body)
		})
		got, err := cluster.Imported(t.Context(), &plan.Reference{Namespace: "n", Name: "p", UID: c.uid})
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %t, %v; want %t", c.name, got, err, c.want)
		}
	}
}
