//go:build linux

package bed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// Object is an object of Kubernetes as JSON.
type Object map[string]any

// At returns the value at a path of fields, or nil.
func (o Object) At(fields ...string) any {
	var value any = o
	for _, field := range fields {
		switch m := value.(type) {
		case Object:
			value = m[field]
		case map[string]any:
			value = m[field]
		default:
			return nil
		}
	}
	return value
}

// Text returns the text at a path of fields, or "".
func (o Object) Text(fields ...string) string {
	text, _ := o.At(fields...).(string)
	return text
}

// Condition returns a function that reports whether an object has a condition with a status. With the
// status "" it reports whether there is no such condition.
func Condition(kind, status string) func(Object) bool {
	return func(o Object) bool { return o.ConditionStatus(kind) == status }
}

// ConditionStatus returns the status of a condition: True, False or Unknown, or "" if the object does
// not have it.
func (o Object) ConditionStatus(kind string) string {
	conditions, _ := o.At("status", "conditions").([]any)
	for _, c := range conditions {
		if fields, ok := c.(map[string]any); ok && fields["type"] == kind {
			status, _ := fields["status"].(string)
			return status
		}
	}
	return ""
}

// Apply creates or changes all objects of a YAML text, as `kubectl apply --server-side
// --force-conflicts` does. It waits until resource definitions are established.
func (c *Client) Apply(t testing.TB, manifests string) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(manifests))
	var definitions []string
	defer func() {
		for _, path := range definitions {
			c.Await(t, path, "Established", Condition("Established", "True"))
		}
	}()
	for {
		var o map[string]any
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if o != nil {
			path := c.apply(t, o)
			if o["kind"] == "CustomResourceDefinition" {
				definitions = append(definitions, path)
			}
		}
	}
}

// apply creates or changes one object, and returns its path.
func (c *Client) apply(t testing.TB, o Object) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	path, err := c.path(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var applied Object
	if err := c.decode(ctx, http.MethodPatch, path+"?fieldManager=bed&force=true", ApplyPatch, text, &applied); err != nil {
		t.Fatal(err)
	}
	return path
}

// path returns the path of an object. It asks the API server for the plural of the kind, which a new
// resource definition gets after a moment.
func (c *Client) path(ctx context.Context, o Object) (string, error) {
	version, kind := o.Text("apiVersion"), o.Text("kind")
	root := "/apis/" + version
	if !strings.Contains(version, "/") {
		root = "/api/" + version
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		plural, namespaced, err := c.resource(ctx, root, kind)
		switch {
		case err == nil && namespaced:
			namespace := o.Text("metadata", "namespace")
			if namespace == "" {
				namespace = "default"
			}
			return root + "/namespaces/" + namespace + "/" + plural + "/" + o.Text("metadata", "name"), nil
		case err == nil:
			return root + "/" + plural + "/" + o.Text("metadata", "name"), nil
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-tick.C:
		}
	}
}

// resource returns the plural of a kind, and whether its objects are in namespaces.
func (c *Client) resource(ctx context.Context, root, kind string) (plural string, namespaced bool, err error) {
	status, answer, err := c.Do(ctx, http.MethodGet, root, "", nil)
	if err != nil {
		return "", false, err
	}
	var list struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
		}
	}
	if err := json.NewDecoder(bytes.NewReader(answer)).Decode(&list); err != nil {
		return "", false, fmt.Errorf("GET %s: %d: %w", root, status, err)
	}
	for _, r := range list.Resources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return r.Name, r.Namespaced, nil
		}
	}
	return "", false, fmt.Errorf("kind: is %q; allowed: the kinds of %s (the answer was %d)", kind, root, status)
}
