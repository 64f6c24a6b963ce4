package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshhealth/meshhealth/kube/internal/plan"
)

// fieldManager is the name under which the API server notes what the writer has changed.
const fieldManager = "meshhealth-kube"

// callTimeout limits one call.
const callTimeout = 10 * time.Second

// resources has the resource of each kind.
var resources = [plan.NumKinds]schema.GroupVersionResource{
	plan.Pod:           {Version: "v1", Resource: "pods"},
	plan.WorkloadEntry: {Group: "networking.istio.io", Version: "v1", Resource: "workloadentries"},
}

// Config has the settings of a Cluster.
type Config struct {
	// Kubeconfig is the file with the address of the API server. Empty means the API server of the
	// cluster in which this process runs.
	Kubeconfig string
	// Namespace is the only namespace whose objects are followed. Empty means all.
	Namespace string
	// Source is the source of the registrations of imported Pods.
	Source string
	// Agent names this program to the API server.
	Agent string
}

// Cluster is the access to one API server.
type Cluster struct {
	cfg     Config
	dynamic dynamic.Interface
	typed   kubernetes.Interface
}

// New returns a Cluster. It calls nobody.
func New(cfg Config) (*Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	config.QPS = -1 // the planner limits the writes
	config.UserAgent = cfg.Agent
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return impatient{next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	objects, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	typed, err := kubernetes.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Cluster{cfg: cfg, dynamic: objects, typed: typed}, nil
}

// object converts an object of the API server.
func (c *Cluster) object(kind plan.Kind, o *unstructured.Unstructured) *plan.Object {
	if kind == plan.WorkloadEntry {
		return plan.EntryOf(o.Object)
	}
	return plan.PodOf(o.Object, c.cfg.Source)
}

// Write sends one patch. It returns within callTimeout, or twice this time after a conflict. err
// is the reason unless the outcome is plan.Written.
func (c *Cluster) Write(ctx context.Context, w plan.Write) (plan.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	patch, subresources := types.MergePatchType, []string(nil)
	if w.Strategic {
		patch = types.StrategicMergePatchType
	}
	if w.Status {
		subresources = []string{"status"}
	}
	objects := c.dynamic.Resource(resources[w.Kind]).Namespace(w.Namespace)
	o, err := objects.Patch(ctx, w.Name, patch, w.Body, metav1.PatchOptions{FieldManager: fieldManager}, subresources...)
	r := plan.Result{Write: w}
	if err == nil {
		r.Object = c.object(w.Kind, o)
		return r, nil
	}
	r.Outcome, r.Pause = outcome(err)
	if r.Outcome == plan.Conflict {
		r.Object, err = c.read(ctx, w.Key)
		if err != nil {
			r.Outcome, r.Pause = outcome(err)
		}
	}
	return r, err
}

// outcome says what an error of the API server means for a write.
func outcome(err error) (plan.Outcome, time.Duration) {
	if t, ok := errors.AsType[*throttled](err); ok {
		return plan.Throttled, t.pause
	}
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return plan.Failed, 0 // there was no answer
	}
	switch code := status.Status().Code; {
	case code == http.StatusConflict:
		return plan.Conflict, 0
	case code >= 400 && code < 500:
		return plan.Refused, 0
	}
	return plan.Failed, 0
}

// read returns an object as it is now.
func (c *Cluster) read(ctx context.Context, key plan.Key) (*plan.Object, error) {
	o, err := c.dynamic.Resource(resources[key.Kind]).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return c.object(key.Kind, o), nil
}

// Imported reports whether a Pod with a UID exists, has not ended, and must be registered by the
// writer.
func (c *Cluster) Imported(ctx context.Context, pod *plan.Reference) (bool, error) {
	if pod.Namespace == "" || pod.Name == "" {
		return false, nil // somebody has registered it by hand under our source
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	o, err := c.read(ctx, plan.Key{Kind: plan.Pod, Namespace: pod.Namespace, Name: pod.Name})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return o.UID == pod.UID && o.Register != nil, nil
}
