// Package apply holds what server-side apply needs everywhere: the operator's field manager and
// the step from a typed value to an apply configuration.
//
// It may import the standard library only.
package apply

import (
	"encoding/json"
	"fmt"
)

// FieldManager is the field manager of everything the operator applies.
const FieldManager = "truepacs-operator"

// Convert writes the fields that are set in the typed value from into the apply configuration
// to, by way of JSON. Fields with omitempty or omitzero that are empty stay out, so the
// configuration claims no field that from does not speak of; a required field does not, and the
// caller sets it to nil where it must not be claimed.
func Convert(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode %T for server-side apply: %w", from, err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("decode %T into %T for server-side apply: %w", from, to, err)
	}
	return nil
}
