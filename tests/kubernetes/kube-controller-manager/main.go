// Command kube-controller-manager is the unmodified Kubernetes controller manager,
// built from the k8s.io/kubernetes module for the tests; see ../kube-apiserver for
// go.mod.
//
// tests/setup builds this, unless TEST_ASSET_KUBE_CONTROLLER_MANAGER names a binary
// to use instead, or KUBEBUILDER_ASSETS a directory that has one.
package main

import (
	"os"
	_ "time/tzdata" // as upstream: CronJobs have time zones without zoneinfo

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
