package manifest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
)

const (
	typeTLS    = "kubernetes.io/tls"
	typeOpaque = "Opaque"
	certKey    = "tls.crt"
	keyKey     = "tls.key"
)

// secretFields are the fields that a Secret of the core API has.
var secretFields = [...]string{"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"}

// secret takes a Secret of type kubernetes.io/tls or Opaque. No message repeats a value.
func (d *document) secret(o Object, n *yaml.Node, content map[string]any) {
	if !d.named(o, n, content) {
		return
	}
	if field, message := refuseSecret(o, content); message != "" {
		d.fail(o, lineOf(n, field), "%s", message)
		return
	}
	data, field, message := secretData(content)
	if message == "" {
		field, message = "data", lacking(content["type"] == typeTLS, data)
	}
	if message != "" {
		d.fail(o, lineOf(n, field), "%s", message)
		return
	}
	if d.claim(o, n) {
		s := Secret{Data: data}
		if content["type"] == typeTLS {
			s.CertPEM, s.KeyPEM = data[certKey], data[keyKey]
			delete(data, certKey)
			delete(data, keyKey)
		}
		d.set.Secrets[o.NamespacedName] = s
		d.set.Files[o] = d.file
	}
}

// refuseSecret says what is wrong around the data of a Secret, and at which field.
func refuseSecret(o Object, content map[string]any) (field, message string) {
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if !slices.Contains(secretFields[:], name) {
			return name, fmt.Sprintf("%s: a Secret has no such field: remove it. Fields: %s", short(name), strings.Join(secretFields[:], ", "))
		}
	}
	if content["type"] != typeTLS && content["type"] != typeOpaque {
		return "type", "type: write type: " + typeTLS + " for a certificate with its private key, or type: " + typeOpaque + " for authorities and revocation lists"
	}
	for _, problem := range append(validation.IsDNS1123Subdomain(o.Name), validation.IsDNS1123Label(o.Namespace)...) {
		return "metadata", "metadata: " + problem
	}
	return "metadata", refuseMeta(content["metadata"])
}

// refuseMeta finds fields that metadata does not have, or of the wrong type.
func refuseMeta(meta any) string {
	text, err := json.Marshal(meta)
	if err != nil {
		return "metadata cannot be read"
	}
	var typed metav1.ObjectMeta
	strict, err := kjson.UnmarshalStrict(text, &typed)
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	if err != nil {
		return fmt.Sprintf("metadata: %v: write name, namespace, labels and annotations as texts", err)
	}
	return ""
}

// secretData returns what is under data and stringData, which goes before it.
func secretData(content map[string]any) (data map[string][]byte, field, message string) {
	data = map[string][]byte{}
	for _, part := range []string{"data", "stringData"} {
		values, ok := content[part].(map[string]any)
		if !ok && content[part] != nil {
			return nil, part, part + ": write tls.crt and tls.key here"
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			text, ok := values[key].(string)
			if !ok {
				return nil, part, fmt.Sprintf("%s.%s: write a text", part, short(key))
			}
			data[key] = []byte(text)
			if part == "stringData" {
				continue
			}
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, part, fmt.Sprintf("data.%s is not base64: encode it, or write the PEM text under stringData", short(key))
			}
			data[key] = decoded
		}
	}
	return data, "", ""
}

// lacking says which key is not there.
func lacking(tls bool, data map[string][]byte) string {
	for _, key := range []string{certKey, keyKey} {
		if tls && len(data[key]) == 0 {
			return fmt.Sprintf("%s is missing: write the PEM encoded certificate chain as %s and the private key as %s, under stringData", key, certKey, keyKey)
		}
	}
	if len(data) == 0 {
		return "data is empty: write the PEM encoded authorities as ca.crt, or the revocation lists as ca.crl, under stringData"
	}
	return ""
}
