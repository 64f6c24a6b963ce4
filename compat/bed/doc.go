// Package bed starts the real components of Kubernetes and Istio for a test: etcd, kube-apiserver,
// the EndpointSlice controller, a kubelet without containers (compat/kube/hollow) and istiod.
//
//	func TestMain(m *testing.M) { bed.Main(m) }
//
//	func TestRouted(t *testing.T) {
//		b := bed.Start(t, bed.Options{Kubelet: true, Istio: true})
//		b.Admin.Apply(t, manifests)
//		writer := b.ServiceAccount(t, "default", "meshhealth-kube") // writer.Kubeconfig()
//		b.Admin.Await(t, "/api/v1/namespaces/default/pods/a", "Ready", bed.Condition("Ready", "True"))
//	}
//
// Main runs the tests in a network namespace of their own. It has the loopback device only, and every
// address of PodNetwork is an address of this machine. So a service of the test can listen on the
// address of a Pod, where the kubelet and gRPC clients reach it. Nothing listens on the network of the
// machine, and no other program can take a port.
//
// `make compat-kube` builds the programs and sets MESHHEALTH_KUBE_BINARIES, the folders that have
// them. Start fails the test, and names the program, if one is missing. The files of the components
// are in the artifact folder of the test, with a log for each start. If the test fails, the ends of
// the logs are printed. No process outlives the test binary.
//
// # Concurrency
//
// Clients may be used by several goroutines at once. Use a Process, and all functions with a
// testing.TB, from the goroutine of the test only.
package bed
