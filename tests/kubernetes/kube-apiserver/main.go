// Command kube-apiserver is the unmodified Kubernetes API server, built from
// the k8s.io/kubernetes module for the tests.
//
// k8s.io/kubernetes asks for its staging modules (k8s.io/api, k8s.io/apiserver
// and so on) at v0.0.0, which resolves only inside the Kubernetes repository.
// The replace directives in ../go.mod point each of them at its own release of the
// same Kubernetes version: v1.N.P needs v0.N.P throughout. An upgrade changes
// that number everywhere in go.mod, then runs `go mod tidy`.
//
// tests/setup builds this, unless KUBEBUILDER_ASSETS or
// TEST_ASSET_KUBE_APISERVER names a binary to use instead.
package main

import (
	"os"
	_ "time/tzdata" // as upstream: CronJob time zones validate without zoneinfo

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
