package schema

import (
	"context"
	"encoding/json"
	"fmt"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	kjson "sigs.k8s.io/json"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Validate says what is wrong with an object; nil means an API server accepts it. status is not
// looked at, as on creation.
func (v *Validator) Validate(obj *v1alpha1.TruePACSBalancer) field.ErrorList {
	obj = obj.DeepCopy()
	obj.SetGroupVersionKind(v.kind)
	text, err := json.Marshal(obj)
	if err != nil {
		return field.ErrorList{field.InternalError(nil, err)}
	}
	_, errs := v.Decode(text)
	return errs
}

// Decode reads an object from JSON and says what is wrong with it, unknown, double and mistyped
// fields included. The object is nil exactly if there are errors.
func (v *Validator) Decode(text []byte) (*v1alpha1.TruePACSBalancer, field.ErrorList) {
	var content map[string]any
	strict, err := kjson.UnmarshalStrict(text, &content)
	if err != nil {
		return nil, field.ErrorList{field.Invalid(nil, "", fmt.Sprintf("this is not a JSON object: %v", err))}
	}
	var errs field.ErrorList
	for _, e := range strict {
		errs = append(errs, field.Invalid(nil, "", e.Error()+": write each field once"))
	}
	obj, found := v.Object(content)
	if errs = append(errs, found...); len(errs) > 0 {
		return nil, errs
	}
	return obj, nil
}

// Object is Decode for an object that has been parsed already, see ValidateContent.
func (v *Validator) Object(content map[string]any) (*v1alpha1.TruePACSBalancer, field.ErrorList) {
	if errs := v.ValidateContent(content); len(errs) > 0 {
		return nil, errs
	}
	return typed(content)
}

// typed turns content that passed the schema into the Go type; the schema admits nothing that
// the type cannot hold.
func typed(content map[string]any) (*v1alpha1.TruePACSBalancer, field.ErrorList) {
	text, err := json.Marshal(content)
	if err == nil {
		var obj v1alpha1.TruePACSBalancer
		if err = utiljson.Unmarshal(text, &obj); err == nil {
			return &obj, nil
		}
	}
	return nil, field.ErrorList{field.Invalid(nil, "", err.Error())}
}

// ValidateContent says what is wrong with an object in the form of JSON maps and lists, with
// whole numbers as int64. status and unknown fields are taken out of content, nulls of optional
// fields too, as the API server does.
func (v *Validator) ValidateContent(content map[string]any) field.ErrorList {
	if errs := v.checkKind(content); len(errs) > 0 {
		return errs
	}
	meta, errs := v.readMeta(content)
	if len(errs) > 0 {
		return errs
	}
	errs = v.unknownFields(content)
	delete(content, "status")
	errs = append(errs, checkMeta(meta)...)
	shape := v.shape(content)
	errs = append(errs, shape...)
	if blocks(shape) {
		return errs
	}
	broken, _ := v.rules.Validate(context.Background(), nil, v.structural, content, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, v.shortenAll(broken)...)
}

func (v *Validator) checkKind(content map[string]any) field.ErrorList {
	var errs field.ErrorList
	wants := map[string]string{"apiVersion": v.kind.GroupVersion().String(), "kind": v.kind.Kind}
	for _, name := range []string{"apiVersion", "kind"} {
		if got, ok := content[name].(string); !ok || got != wants[name] {
			errs = append(errs, field.Invalid(field.NewPath(name), short(content[name]), "write "+name+": "+wants[name]))
		}
	}
	return errs
}

// readMeta decodes metadata and takes what does not belong there for an error.
func (v *Validator) readMeta(content map[string]any) (*metav1.ObjectMeta, field.ErrorList) {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(content, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, field.ErrorList{field.TypeInvalid(field.NewPath("metadata"), "", fmt.Sprintf("metadata cannot be read: %v; write name, namespace, labels and annotations as texts", err))}
	}
	if !found {
		return nil, field.ErrorList{field.Required(field.NewPath("metadata", "name"), "write a name for this balancer")}
	}
	var errs field.ErrorList
	for _, path := range unknown {
		errs = append(errs, field.Forbidden(field.NewPath(path), "there is no such field in metadata: remove it; a setting of the balancer belongs under spec"))
	}
	return meta, errs
}

// checkMeta checks names and labels as a server does once it has filled in what the request's
// address says: the namespace.
func checkMeta(meta *metav1.ObjectMeta) field.ErrorList {
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	if meta.Name == "" && meta.GenerateName != "" {
		meta.Name = meta.GenerateName + "00000"
	}
	return metavalidation.ValidateObjectMeta(meta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
}

// unknownFields removes what the schema does not know and says so.
func (v *Validator) unknownFields(content map[string]any) field.ErrorList {
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	var errs field.ErrorList
	for _, path := range pruning.PruneWithOptions(content, v.structural, true, options) {
		errs = append(errs, field.Forbidden(field.NewPath(path), v.unknownWords(path)))
	}
	structuraldefaulting.PruneNonNullableNullsWithoutDefaults(content, v.structural)
	return errs
}

// shape checks types, required fields, bounds, patterns and the uniqueness of list entries.
func (v *Validator) shape(content map[string]any) field.ErrorList {
	errs := v.wordAll(validation.ValidateCustomResource(nil, content, v.openAPI))
	for _, e := range listtype.ValidateListSetsAndMaps(nil, v.structural, content) {
		e.Detail = "this entry is there twice: remove it, or give it a name or value of its own"
		e.BadValue = short(e.BadValue)
		errs = append(errs, e)
	}
	return errs
}

// blocks tells whether the API server leaves the rules out because the shape is too wrong for
// them; see hasBlockingErr in its customresource strategy.
func blocks(errs field.ErrorList) bool {
	for _, e := range errs {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong,
			field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
