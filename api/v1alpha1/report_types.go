package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TruePACSReport is what one director sees of one TruePACSBalancer. The director's agent alone
// writes it; the TruePACSBalancer owns it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=truepacsreports,singular=truepacsreport,scope=Namespaced,shortName=tpr,categories=pacs
// +kubebuilder:printcolumn:name="Balancer",type=string,JSONPath=`.status.balancer`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Programmed",type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type TruePACSReport struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// status is what the director sees.
	// +optional
	Status TruePACSReportStatus `json:"status,omitempty,omitzero"`
}

// TruePACSReportList is a list of TruePACSReport.
//
// +kubebuilder:object:root=true
type TruePACSReportList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the reports.
	Items []TruePACSReport `json:"items"`
}

// TruePACSReportStatus is what a director sees of a balancer.
type TruePACSReportStatus struct {
	// balancer is the name of the TruePACSBalancer.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Balancer string `json:"balancer,omitempty"`
	// node is the name of the director.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// observedGeneration is the balancer's metadata.generation that this report speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Accepted, ResolvedRefs, CertificatesValid, Programmed and NetworkSound on this
	// director.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// virtualIPs says which addresses this director holds: activeNode is its own name or empty.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	VirtualIPs []VirtualIPStatus `json:"virtualIPs,omitempty"`
	// virtualServices says how the services and their servers are, seen from this director.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	VirtualServices []VirtualServiceStatus `json:"virtualServices,omitempty"`
}
