package schema

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/config/crd/bases"
)

// Validator holds the compiled schema of one version of one kind. It is immutable and safe for
// use by several goroutines.
type Validator struct {
	kind       runtimeschema.GroupVersionKind
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// New compiles the schema of TruePACSBalancer that is embedded in the binary. It takes a few
// hundred milliseconds: do it once.
func New() (*Validator, error) { return Compile(bases.TruePACSBalancers()) }

// Compile compiles the schema of a CustomResourceDefinition's storage version; crd is YAML or
// JSON. It fails only for a definition that no API server would take either.
func Compile(crd []byte) (*Validator, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd, &definition); err != nil {
		return nil, fmt.Errorf("read the CustomResourceDefinition: %w", err)
	}
	version, err := storageVersion(&definition)
	if err != nil {
		return nil, err
	}
	v, err := compile(version.Schema.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("compile the schema of %s: %w", definition.Name, err)
	}
	v.kind = runtimeschema.GroupVersionKind{
		Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind,
	}
	return v, nil
}

func storageVersion(crd *apiextensionsv1.CustomResourceDefinition) (*apiextensionsv1.CustomResourceDefinitionVersion, error) {
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Storage && v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("the CustomResourceDefinition %q has no storage version with a schema", crd.Name)
}

func compile(props *apiextensionsv1.JSONSchemaProps) (*Validator, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	return &Validator{
		structural: structural,
		openAPI:    openAPI,
		rules:      cel.NewValidator(structural, true, celconfig.PerCallLimit),
	}, nil
}
