package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxShown is how much of a bad value a message repeats, in bytes.
const maxShown = 64

// wordAll puts the server's findings about shape into words that say what to write.
func (v *Validator) wordAll(errs field.ErrorList) field.ErrorList {
	for _, e := range errs {
		e.BadValue = short(e.BadValue)
		node := v.at(e.Field)
		if node == nil {
			continue
		}
		if detail := words(e, node); detail != "" {
			e.Detail = detail
		}
	}
	return errs
}

func (v *Validator) shortenAll(errs field.ErrorList) field.ErrorList {
	for _, e := range errs {
		e.BadValue = short(e.BadValue)
	}
	return errs
}

func words(e *field.Error, node *structuralschema.Structural) string {
	switch e.Type {
	case field.ErrorTypeRequired:
		return "is missing: " + sentence(node)
	case field.ErrorTypeTypeInvalid:
		return "write " + typeWords(node.Type) + " here: " + sentence(node)
	case field.ErrorTypeInvalid:
		return invalidWords(node)
	}
	return ""
}

// invalidWords says what the schema asks of a value.
func invalidWords(node *structuralschema.Structural) string {
	val := node.ValueValidation
	switch {
	case val == nil:
		return ""
	case node.Type == "integer" && val.Minimum != nil && val.Maximum != nil:
		return fmt.Sprintf("write a whole number from %.0f to %.0f", *val.Minimum, *val.Maximum)
	case node.Type == "array" && val.MinItems != nil && val.MaxItems != nil:
		return fmt.Sprintf("write %d to %d entries: %s", *val.MinItems, *val.MaxItems, sentence(node))
	case val.Pattern != "":
		return patternWords(val.Pattern)
	case node.Type == "string" && val.MinLength != nil && val.MaxLength != nil:
		return fmt.Sprintf("write %d to %d characters: %s", *val.MinLength, *val.MaxLength, sentence(node))
	}
	return ""
}

func typeWords(kind string) string {
	switch kind {
	case "string":
		return `a text (a number in quotes, for example "104")`
	case "integer":
		return "a whole number without quotes"
	case "boolean":
		return "true or false"
	case "array":
		return "a list (each entry on a line of its own that starts with -)"
	case "object":
		return "a block of fields"
	}
	return "a " + kind
}

// patternWords says in words what a regular expression of the API asks for.
func patternWords(pattern string) string {
	switch pattern {
	case `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`:
		return "write lower-case letters, digits and hyphens, with a letter or digit at both ends, for example pacs-a"
	case `^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`:
		return "write lower-case letters, digits, hyphens and dots, with a letter or digit at both ends, for example lb1"
	case `^[a-z0-9][a-z0-9._-]{0,62}$`:
		return "write the name of a file, of lower-case letters, digits, dots, hyphens and underscores and with no slash, for example check-archive.sh"
	case `^[ -~]+$`:
		return "write printable ASCII in one line, for example ping"
	case `^[^/\s:]+$`:
		return "write the name of a network interface, without slash, colon or space, for example eth0"
	case `^/[!-"$->@-~]*$`:
		return "write a path that starts with / and holds no space, ? or #, for example /dicom-web"
	case `^/[!-~]*$`:
		return "write a path that starts with / and holds no space, for example /healthz"
	case `^[A-Za-z0-9._:\[\]-]+$`:
		return "write a host name or address, with :port if need be, for example pacs.example.org"
	case `^[A-Za-z0-9_.-]+$`:
		return "write letters, digits, underscore, dot and hyphen only, for example TPSERVER"
	case `^TLS_[A-Z0-9_]+$`:
		return "write a name of the IANA registry, for example TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
	case `^(\*\.)?[A-Za-z0-9_:]([A-Za-z0-9._:-]*[A-Za-z0-9_:])?$`:
		return "write a host name, a wildcard or an address, for example pacs.example.org or *.example.org"
	case `^[-._A-Za-z0-9]+$`:
		return "write letters, digits, hyphen, underscore and dot only, for example ca.crt"
	case `^[A-Za-z0-9!#$%&*+.^_|~-]+$`:
		return "a header name has letters, digits and hyphens only, for example X-Site"
	case `^[!-~]([ -~]*[!-~])?$`:
		return "a header value is printable ASCII and does not start or end with a space"
	}
	return ""
}

// sentence is the first sentence of the field's documentation.
func sentence(node *structuralschema.Structural) string {
	text := strings.Join(strings.Fields(node.Description), " ")
	if end := strings.Index(text, ". "); end >= 0 {
		text = text[:end]
	}
	return strings.TrimSuffix(text, ".")
}

// unknownWords says which fields there are beside one that does not exist, and which of them was
// probably meant.
func (v *Validator) unknownWords(path string) string {
	parent, name := splitPath(path)
	node := v.at(parent)
	if node == nil || len(node.Properties) == 0 {
		return "there is no such field: remove it"
	}
	known := slices.Sorted(maps.Keys(node.Properties))
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("there is no such field: did you mean %s? Fields here: %s", near, strings.Join(known, ", "))
	}
	return "there is no such field: remove it. Fields here: " + strings.Join(known, ", ")
}

// short returns a value as far as a message should repeat it. Blocks and lists are left out.
func short(value any) any {
	switch value := value.(type) {
	case map[string]any, []any, nil:
		return field.OmitValueType{}
	case string:
		if len(value) > maxShown {
			return strings.ToValidUTF8(value[:maxShown], "") + "..."
		}
	}
	return value
}
