// Command hollow is a kubelet without containers. It is the kubelet of Kubernetes on the fake
// container runtime of kubemark, but with the real prober: probes, readiness gates and the status
// of Pods work as on any node. A container runs as soon as its Pod is bound to the node, and no
// process stands behind it.
//
// # Concurrency
//
// The command runs until it is killed.
package main

import (
	"context"
	"flag"
	"log"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	criapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	critesting "k8s.io/cri-api/pkg/apis/testing"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
)

// podIPAnnotation gives the address of a Pod. Without it all Pods have the address of the node.
const podIPAnnotation = "meshhealth.test/pod-ip"

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the file with the address and credentials of the API server")
	name := flag.String("name", "node-0", "the name of the node")
	ip := flag.String("ip", "10.2.0.1", "the address of the node, which an interface has and which is not in 127.0.0.0/8")
	maxPods := flag.Int("max-pods", 1100, "how many Pods the node accepts")
	dir := flag.String("dir", "", "the folder for the files of the kubelet")
	flag.Parse()
	log.SetFlags(0)

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatalf("--kubeconfig: %v", err)
	}
	config.QPS, config.Burst = 50, 100 // the defaults of a kubelet
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatalf("--kubeconfig: %v", err)
	}

	flags, settings := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{NodeName: *name, MaxPods: *maxPods})
	_ = os.RemoveAll(flags.RootDirectory) // a new folder in /tmp, which nobody would remove
	flags.RootDirectory = *dir
	settings.StaticPodPath, settings.PodLogsDir = "", filepath.Join(*dir, "logs")
	flags.NodeIP = *ip
	settings.EnableServer, settings.ReadOnlyPort = false, 0
	settings.MakeIPTablesUtilChains = false // it would change the rules of the machine

	critesting.FakePodSandboxIPs = []string{*ip}
	images := critesting.NewFakeImageService()
	containers := runtime{critesting.NewFakeRuntimeService()}
	containers.FakeStatus = &criapi.RuntimeStatus{Conditions: []*criapi.RuntimeCondition{
		{Type: criapi.RuntimeReady, Status: true},
		{Type: criapi.NetworkReady, Status: true},
	}}
	kubelet := kubemark.NewHollowKubelet(flags, settings, client, client,
		&cadvisortest.Fake{NodeName: *name}, images, containers, cm.NewStubContainerManager())
	kubelet.KubeletDeps.ProbeManager = nil // kubemark's never probes; without one the kubelet makes its own
	kubelet.Run(context.Background())
}

// runtime is the fake runtime with an address for each Pod.
type runtime struct {
	*critesting.FakeRuntimeService
}

// PodSandboxStatus is where the kubelet takes the address of a Pod from.
func (r runtime) PodSandboxStatus(ctx context.Context, id string, verbose bool) (*criapi.PodSandboxStatusResponse, error) {
	response, err := r.FakeRuntimeService.PodSandboxStatus(ctx, id, verbose)
	if err != nil {
		return nil, err
	}
	if ip := response.GetStatus().GetAnnotations()[podIPAnnotation]; ip != "" {
		response.Status.Network.Ip = ip
	}
	return response, nil
}
