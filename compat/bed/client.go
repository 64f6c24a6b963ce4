//go:build linux

package bed

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"
)

// Content types of a PATCH.
const (
	MergePatch     = "application/merge-patch+json"
	StrategicPatch = "application/strategic-merge-patch+json"
	JSONPatch      = "application/json-patch+json"
	ApplyPatch     = "application/apply-patch+yaml"
)

// Client is a user of the API server. Paths begin with /api or /apis.
type Client struct {
	url, token, ca, kubeconfig string
	http                       *http.Client
}

// client makes a client and its kubeconfig.
func (b *Bed) client(t testing.TB, name, token string) *Client {
	t.Helper()
	config, err := json.Marshal(Object{
		"apiVersion": "v1", "kind": "Config", "current-context": "bed",
		"clusters": []Object{{"name": "bed", "cluster": Object{"server": b.url, "certificate-authority": b.cert}}},
		"users":    []Object{{"name": name, "user": Object{"token": token}}},
		"contexts": []Object{{"name": "bed", "context": Object{"cluster": "bed", "user": name}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{
		url: b.url, token: token, ca: b.cert,
		kubeconfig: write(t, b.Dir, name+".kubeconfig", config),
		http:       &http.Client{Transport: transport(b.cert)},
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// transport trusts the certificate in a file.
func transport(ca string) *http.Transport {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(ca); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
}

// answers returns a function that says why a URL does not answer with 200.
func answers(url, ca string) func(context.Context) error {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if ca != "" {
		tr := transport(ca)
		tr.DisableKeepAlives = true
		c.Transport = tr
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		reply, err := c.Do(request)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(reply.Body, 1000))
			return fmt.Errorf("GET %s: %s: %s", url, reply.Status, text)
		}
		return nil
	}
}

// Kubeconfig returns the file with the address of the API server and the credentials of this client.
func (c *Client) Kubeconfig() string { return c.kubeconfig }

// URL returns the address of the API server.
func (c *Client) URL() string { return c.url }

// Token returns the bearer token of this client.
func (c *Client) Token() string { return c.token }

// CA returns the file with the certificate of the API server.
func (c *Client) CA() string { return c.ca }

// Do sends one request and returns the HTTP status and the body of the answer. It fails only if there
// is no answer. The default content type is JSON.
func (c *Client) Do(ctx context.Context, method, path, contentType string, body []byte) (status int, answer []byte, err error) {
	request, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return 0, nil, err
	}
	reply, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	answer, err = io.ReadAll(reply.Body)
	return reply.StatusCode, answer, err
}

func (c *Client) request(ctx context.Context, method, path, contentType string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType == "" {
		contentType = "application/json"
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+c.token)
	return request, nil
}

// decode sends one request and reads the JSON of the answer. Any HTTP status but 2xx is an error.
func (c *Client) decode(ctx context.Context, method, path, contentType string, body []byte, into any) error {
	status, answer, err := c.Do(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("%s %s: %d: %.1000s", method, path, status, answer)
	}
	return json.Unmarshal(answer, into)
}

func (c *Client) get(ctx context.Context, path string, into *Object) error {
	return c.decode(ctx, http.MethodGet, path, "", nil, into)
}

// ready says why a health page does not answer with 200.
func (c *Client) ready(ctx context.Context, path string) error {
	status, answer, err := c.Do(ctx, http.MethodGet, path, "", nil)
	if err == nil && status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %.1000s", path, status, answer)
	}
	return err
}

// Call sends one request and returns the object in the answer. The test fails unless the HTTP status
// is 2xx. A PATCH is a merge patch.
func (c *Client) Call(t testing.TB, method, path string, body Object) Object {
	t.Helper()
	contentType := ""
	if method == http.MethodPatch {
		contentType = MergePatch
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var answer Object
	if err := c.decode(ctx, method, path, contentType, text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// Get returns an object.
func (c *Client) Get(t testing.TB, path string) Object {
	t.Helper()
	return c.Call(t, http.MethodGet, path, nil)
}

// Delete deletes an object at once. The object may not exist.
func (c *Client) Delete(t testing.TB, path string) {
	t.Helper()
	status, answer, err := c.Do(t.Context(), http.MethodDelete, path+"?gracePeriodSeconds=0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status/100 != 2 && status != http.StatusNotFound {
		t.Fatalf("DELETE %s: %d: %.1000s", path, status, answer)
	}
}

// Event is a change of an object.
type Event struct {
	Type   string    // ADDED, MODIFIED or DELETED
	Object Object    // the object after the change
	At     time.Time // when the test received the event
}

// Watch returns the objects of a collection, or one object, and then each change. The path may have a
// query. Changes that are made after Watch has returned are never missed. The channel is closed when
// the stream or the test ends. It holds 10,000 events; a test that reads more slowly makes the stream wait.
func (c *Client) Watch(t testing.TB, path string) <-chan Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	first, stream, err := c.listWatch(ctx, path)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	events, done := make(chan Event, 10_000), make(chan struct{})
	go func() {
		defer close(done)
		defer close(events)
		defer stream.Close()
		_ = read(first, stream, func(e Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

// listWatch lists the objects of a path and opens the stream of later changes. An object is listed
// and watched through its collection. A watch without a list is no alternative: with the etcd of Debian
// the API server cannot tell when its cache is up to date, and the watch fails after 3 s.
func (c *Client) listWatch(ctx context.Context, object string) (first []Event, stream io.ReadCloser, err error) {
	collection, query, _ := strings.Cut(object, "?")
	if parts := strings.Split(strings.Trim(collection, "/"), "/"); names(parts) {
		query += "&fieldSelector=metadata.name%3D" + path.Base(collection)
		collection = path.Dir(collection)
	}
	var list struct {
		Items    []Object
		Metadata struct{ ResourceVersion string }
	}
	if err := c.decode(ctx, http.MethodGet, collection+"?"+query, "", nil, &list); err != nil {
		return nil, nil, err
	}
	for _, o := range list.Items {
		first = append(first, Event{Type: "ADDED", Object: o, At: time.Now()})
	}
	request, err := c.request(ctx, http.MethodGet, collection+"?watch=1&resourceVersion="+list.Metadata.ResourceVersion+"&"+query, "", nil)
	if err != nil {
		return nil, nil, err
	}
	reply, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	if reply.StatusCode != http.StatusOK {
		defer reply.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(reply.Body, 1000))
		return nil, nil, fmt.Errorf("GET %s: %s: %s", request.URL, reply.Status, text)
	}
	return first, reply.Body, nil
}

// names reports whether the parts of a path name an object: a resource and a name follow the version
// and, perhaps, a namespace.
func names(parts []string) bool {
	version := 2 // api/v1
	if parts[0] == "apis" {
		version = 3 // apis/GROUP/VERSION
	}
	rest := parts[min(version, len(parts)):]
	return len(rest)%2 == 0 && len(rest) > 0
}

// read calls do for the first events, and for each event of a stream until it fails or the stream ends.
func read(first []Event, stream io.Reader, do func(Event) error) error {
	for _, e := range first {
		if err := do(e); err != nil {
			return err
		}
	}
	decoder := json.NewDecoder(stream)
	for {
		var e Event
		if err := decoder.Decode(&e); err != nil {
			return err
		}
		if e.Type == "ERROR" {
			return fmt.Errorf("the watch ended: %v", e.Object["message"])
		}
		e.At = time.Now()
		if err := do(e); err != nil {
			return err
		}
	}
}

var errFound = errors.New("found")

// Await waits until an object satisfies ok, and returns it. The object need not exist yet. The test
// fails after a minute, with the words of what, or if the API server cannot be asked.
func (c *Client) Await(t testing.TB, path, what string, ok func(Object) bool) Object {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last Object
	for {
		first, stream, err := c.listWatch(ctx, path)
		if err != nil {
			t.Fatalf("%s: awaited %s: %v", path, what, err)
		}
		err = read(first, stream, func(e Event) error {
			last = e.Object
			if e.Type != "DELETED" && ok(last) {
				return errFound
			}
			return nil
		})
		stream.Close()
		if errors.Is(err, errFound) {
			return last
		}
		if ctx.Err() != nil {
			text, _ := json.Marshal(last)
			t.Fatalf("%s: awaited %s; the object is %.3000s", path, what, text)
		}
	}
}
