// Command kube-proxy is the unmodified Kubernetes service proxy, built from the
// k8s.io/kubernetes module for the tests; see ../kube-apiserver for go.mod.
//
// tests/setup builds this, unless TEST_ASSET_KUBE_PROXY names a binary to use
// instead, or KUBEBUILDER_ASSETS a directory that has one.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() {
	os.Exit(cli.Run(app.NewProxyCommand()))
}
