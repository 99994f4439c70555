package installation

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/internal/render"
)

// uninstallManager is the field manager of the release mark.
const uninstallManager = "truepacs-uninstall"

// operatorGrace is how long the operator may take beyond the agents' timeout.
const operatorGrace = 30 * time.Second

// ErrNotReleased is wrapped when the DaemonSets are still there after an uninstall's timeout.
var ErrNotReleased = errors.New("the installation was not released")

// Uninstall asks the agents of an installation to let go of everything and waits until the
// operator has removed the DaemonSets, at most timeout and half a minute. The mark that asks is
// owned by the agents' ServiceAccount, so that it goes with the installation and does not stop
// the next one. An installation that is gone already is no error. The client must not be cached.
func Uninstall(ctx context.Context, c client.Client, namespace string, timeout time.Duration) error {
	var account corev1.ServiceAccount
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: render.AgentName}, &account)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an installation in namespace %s: %w", namespace, err)
	}
	if err := mark(ctx, c, &account, timeout); err != nil {
		return err
	}
	return await(ctx, c, namespace, timeout+operatorGrace)
}

func mark(ctx context.Context, c client.Client, account *corev1.ServiceAccount, timeout time.Duration) error {
	owner := metav1ac.OwnerReference().WithAPIVersion("v1").WithKind("ServiceAccount").WithName(account.Name).WithUID(account.UID)
	object := corev1ac.ConfigMap(render.ReleaseName, account.Namespace).
		WithOwnerReferences(owner).
		WithData(map[string]string{TimeoutKey: strconv.Itoa(int(timeout.Seconds()))})
	if err := c.Apply(ctx, object, client.FieldOwner(uninstallManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("ask for release (ConfigMap %s/%s): %w", account.Namespace, render.ReleaseName, err)
	}
	return nil
}

func await(ctx context.Context, c client.Client, namespace string, limit time.Duration) error {
	var left []string
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, limit, true, func(ctx context.Context) (bool, error) {
		left, last = remaining(ctx, c, namespace)
		return last == nil && len(left) == 0, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w within %s: look for the DaemonSets in namespace %s: %w", ErrNotReleased, limit, namespace, last)
	}
	if err != nil {
		return fmt.Errorf("%w within %s: DaemonSet %s is still in namespace %s. Does the operator run? See: kubectl logs --namespace %s deployment/truepacs-operator",
			ErrNotReleased, limit, strings.Join(left, " and "), namespace, namespace)
	}
	return nil
}

func remaining(ctx context.Context, c client.Client, namespace string) (names []string, err error) {
	for _, name := range []string{render.AgentName, render.ProxyName} {
		ds := &metav1.PartialObjectMetadata{}
		ds.SetGroupVersionKind(daemonSetKind())
		err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, ds)
		switch {
		case err == nil:
			names = append(names, name)
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return names, nil
}
