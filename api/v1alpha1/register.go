package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "lb.truepacs.io", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that generated apply configurations use.
var SchemeGroupVersion = GroupVersion

// AddToScheme registers the types of this package with a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&TruePACSBalancer{}, &TruePACSBalancerList{},
		&TruePACSNode{}, &TruePACSNodeList{},
		&TruePACSReport{}, &TruePACSReportList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
