package controlplane

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// SharedVariable names the environment variable that points to the kubeconfig of an API server which several
// test programs share, as `go run ./e2e/cluster/cmd/cluster apiserver -- go test ./...` sets it.
const SharedVariable = "TRUEPACS_TEST_KUBECONFIG"

// StartAPIServer returns an administrator's configuration for an API server without controllers, and a
// function that ends it. When SharedVariable is set the server named there is used and left running: tests
// must keep to a namespace of their own (see Namespace) and may only add cluster-scoped objects that are the
// same for all, such as the project's CRDs.
func StartAPIServer(ctx context.Context, opts Options) (*rest.Config, func() error, error) {
	if path := os.Getenv(SharedVariable); path != "" {
		cfg, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			return nil, nil, fmt.Errorf("use the shared API server: %s=%s: %w", SharedVariable, path, err)
		}
		cfg.QPS = -1
		return cfg, func() error { return nil }, nil
	}
	cp, err := Start(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := cp.Config()
	return cfg, cp.Close, err
}

// Namespace creates a namespace for one test and asks for its deletion when the test ends. Without a
// controller manager the deletion never completes, so the name is never used again.
func Namespace(t testing.TB, cfg *rest.Config) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ns, err := client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create the test's namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete the test's namespace %s: %v", ns.Name, err)
		}
	})
	return ns.Name
}
