//go:build linux

package bed

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// binaries is the environment variable with the folders of the programs, separated by colons.
const binaries = "MESHHEALTH_KUBE_BINARIES"

// NodeName is the node of the kubelet. A Pod runs there if its spec.nodeName says so: there is no
// scheduler. It needs automountServiceAccountToken: false.
const NodeName = "node-0"

// PodIPAnnotation gives a Pod its address. It must be in PodNetwork. Without it a Pod has the address
// of the node.
const PodIPAnnotation = "meshhealth.test/pod-ip"

// Options says which components run. etcd and the API server always run.
type Options struct {
	// Slices starts the controller that keeps EndpointSlices of Services.
	Slices bool
	// Kubelet starts the node NodeName, and the controller of Slices.
	Kubelet bool
	// Istio creates Istio's resource definitions and starts istiod.
	Istio bool
	// IstioEnv is added to the environment of istiod, for example PILOT_DEBOUNCE_AFTER=10ms.
	IstioEnv []string
}

// Bed is a Kubernetes control plane that belongs to one test. The processes are nil if Options does
// not ask for them.
type Bed struct {
	Etcd, APIServer, Slices, Kubelet, Istiod *Process
	// Admin may do everything.
	Admin *Client
	// XDS is the address of istiod's ADS server, without TLS.
	XDS string
	// IstioHTTP is the address of istiod's HTTP server, which has /debug/endpointz and others.
	IstioHTTP string
	// Dir is the folder for files of the test.
	Dir string

	bin  func(name string) string
	url  string // the address of the API server
	cert string // the file with its certificate
	key  string // the file with its key
}

// Start starts the components and waits until each is ready, which takes about seven seconds for all of
// them. They end with the test.
func Start(t testing.TB, o Options) *Bed {
	t.Helper()
	b := &Bed{Dir: t.ArtifactDir(), bin: programs(t)}
	if os.Getenv(inNamespace) == "" {
		t.Fatal("bed.Start: the test runs in the network of the machine; call bed.Main from TestMain")
	}
	b.cert, b.key = keys(t, b.Dir)
	b.startEtcd(t)
	if o.Istio {
		b.startIstio(t, o)
	}
	if o.Slices || o.Kubelet {
		b.startSlices(t)
	}
	if o.Kubelet {
		b.startKubelet(t)
	}
	return b
}

// programs returns a function that finds a file in the folders of the programs.
func programs(t testing.TB) func(string) string {
	t.Helper()
	folders := filepath.SplitList(os.Getenv(binaries))
	if len(folders) == 0 {
		t.Fatalf("%s: is not set; run `make compat-kube`, or set it to the output of tools/kubebinaries.sh", binaries)
	}
	return func(name string) string {
		t.Helper()
		for _, dir := range folders {
			if path := filepath.Join(dir, name); exists(path) {
				return path
			}
		}
		t.Fatalf("%s: no folder has %s; `make compat-kube` builds it", binaries, name)
		return ""
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// folder makes a folder for the files of a component.
func (b *Bed) folder(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(b.Dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startEtcd starts etcd and the API server.
func (b *Bed) startEtcd(t testing.TB) {
	t.Helper()
	client, peer, secure := "http://"+FreePort(t), "http://"+FreePort(t), FreePort(t)
	b.Etcd = Launch(t, Command{
		Name: "etcd", Path: b.bin("etcd"), Dir: b.Dir,
		Args: []string{
			"--data-dir=" + b.folder(t, "etcd"), "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		},
		Ready: answers(client+"/health", ""),
	})

	admin := rand.Text()
	tokens := write(t, b.Dir, "tokens.csv", []byte(admin+",admin,admin,system:masters\n"))
	b.url = "https://" + secure
	_, port, _ := net.SplitHostPort(secure)
	b.Admin = b.client(t, "admin", admin)
	b.APIServer = Launch(t, Command{
		Name: "kube-apiserver", Path: b.bin("kube-apiserver"), Dir: b.Dir,
		Args: []string{
			"--etcd-servers=" + client, "--bind-address=127.0.0.1", "--secure-port=" + port,
			"--advertise-address=" + nodeIP, "--endpoint-reconciler-type=none",
			"--tls-cert-file=" + b.cert, "--tls-private-key-file=" + b.key,
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + b.key, "--service-account-signing-key-file=" + b.key,
			"--token-auth-file=" + tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
			// It waits for a controller that makes tokens, which does not run.
			"--disable-admission-plugins=ServiceAccount",
		},
		Env:   []string{"GOMEMLIMIT=400MiB"},
		Ready: func(ctx context.Context) error { return b.Admin.ready(ctx, "/readyz") },
	})
}

// startSlices starts kube-controller-manager with the controller of EndpointSlices only.
func (b *Bed) startSlices(t testing.TB) {
	t.Helper()
	address := FreePort(t)
	_, port, _ := net.SplitHostPort(address)
	config := b.Admin.Kubeconfig()
	b.Slices = Launch(t, Command{
		Name: "kube-controller-manager", Path: b.bin("kube-controller-manager"), Dir: b.Dir,
		Args: []string{
			"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
			"--controllers=endpointslice-controller", "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + port,
			"--tls-cert-file=" + b.cert, "--tls-private-key-file=" + b.key,
		},
		Ready: answers("https://"+address+"/healthz", b.cert),
	})
}

// startKubelet starts the node.
func (b *Bed) startKubelet(t testing.TB) {
	t.Helper()
	b.Kubelet = Launch(t, Command{
		Name: "hollow", Path: b.bin("hollow"), Dir: b.Dir,
		Args: []string{"--kubeconfig=" + b.Admin.Kubeconfig(), "--name=" + NodeName, "--ip=" + nodeIP, "--dir=" + b.folder(t, "kubelet")},
		Ready: func(ctx context.Context) error {
			var node Object
			if err := b.Admin.get(ctx, "/api/v1/nodes/"+NodeName, &node); err != nil {
				return err
			}
			if !Condition("Ready", "True")(node) {
				return fmt.Errorf("the node is not Ready: %v", node.At("status", "conditions"))
			}
			return nil
		},
	})
}

// startIstio creates the namespace and the resource definitions, and starts istiod without
// certificates and webhooks.
func (b *Bed) startIstio(t testing.TB, o Options) {
	t.Helper()
	b.Admin.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}")
	crds, err := os.ReadFile(b.bin("crds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b.Admin.Apply(t, string(crds))
	monitoring := FreePort(t)
	b.XDS, b.IstioHTTP = FreePort(t), FreePort(t)
	b.Istiod = Launch(t, Command{
		Name: "istiod", Path: b.bin("pilot-discovery"), Dir: b.Dir,
		Args: []string{
			"discovery", "--kubeconfig", b.Admin.Kubeconfig(), "-n", "istio-system", "--grpcAddr", b.XDS,
			"--httpAddr", b.IstioHTTP, "--monitoringAddr", monitoring, "--httpsAddr", "", "--secureGRPCAddr", "",
			"--ctrlz_port", "0",
		},
		Env: append([]string{
			"POD_NAME=istiod-0", "POD_NAMESPACE=istio-system", "INSTANCE_IP=" + nodeIP,
			"ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "ENABLE_LEADER_ELECTION=false",
			"PILOT_ENABLE_GATEWAY_API=false", "INJECTION_WEBHOOK_CONFIG_NAME=", "VALIDATION_WEBHOOK_CONFIG_NAME=",
			// Agents of virtual machines have no certificate here.
			"ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY=false",
		}, o.IstioEnv...),
		Ready: answers("http://"+b.IstioHTTP+"/ready", ""),
	})
}

// ServiceAccount returns a client with the rights of a ServiceAccount. If the account does not exist,
// it is created, without rights. The token of the client is valid for an hour.
func (b *Bed) ServiceAccount(t testing.TB, namespace, name string) *Client {
	t.Helper()
	path := "/api/v1/namespaces/" + namespace + "/serviceaccounts/" + name
	b.Admin.Apply(t, fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: %s, name: %s}}", namespace, name))
	reply := b.Admin.Call(t, "POST", path+"/token", Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": Object{"expirationSeconds": 3600},
	})
	token, _ := reply.At("status", "token").(string)
	return b.client(t, strings.Join([]string{namespace, name}, "-"), token)
}
