// Package kubewriter tests meshhealth-kube, the writer for Kubernetes, with real components: a
// coordinator, etcd, kube-apiserver, a kubelet, the EndpointSlice controller and istiod. It contains
// only tests. `make compat-kube` runs them.
//
// # Concurrency
//
// Nothing runs outside of the tests.
package kubewriter
