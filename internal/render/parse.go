package render

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// maxSettings bounds the settings file in bytes. A ConfigMap holds 1 MiB; no sensible settings
// come near this.
const maxSettings = 64 << 10

// ErrSettings is wrapped by every refusal of a settings file.
var ErrSettings = errors.New("settings refused")

// Parse reads a settings file: YAML, strict (an unknown or doubled key is an error), at most
// 64 KiB. What the file does not say comes from Default. The error says which field is wrong and
// what to write instead, and wraps ErrSettings.
func Parse(text []byte) (Settings, error) {
	if len(text) > maxSettings {
		return Settings{}, fmt.Errorf("%w: the file has %d bytes, at most %d are allowed", ErrSettings, len(text), maxSettings)
	}
	said, err := decode(text)
	if err != nil {
		return Settings{}, fmt.Errorf("%w: not valid YAML for settings: %w", ErrSettings, err)
	}
	s := withDefaults(said)
	if err := s.Validate(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// decode minds the case of keys, which encoding/json does not.
func decode(text []byte) (Settings, error) {
	var s Settings
	document, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return s, err
	}
	strict, err := kjson.UnmarshalStrict(document, &s)
	return s, errors.Join(append(strict, err)...)
}

// ReadFile parses the settings file at path.
func ReadFile(path string) (Settings, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("read the settings file (key settings.yaml of ConfigMap %s): %w", SettingsName, err)
	}
	s, err := Parse(text)
	if err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func withDefaults(s Settings) Settings {
	d := Default()
	s.ImagePullPolicy = orElse(s.ImagePullPolicy, d.ImagePullPolicy)
	s.PriorityClassName = orElse(s.PriorityClassName, d.PriorityClassName)
	s.HostPaths.Run = orElse(s.HostPaths.Run, d.HostPaths.Run)
	s.HostPaths.State = orElse(s.HostPaths.State, d.HostPaths.State)
	if s.MarkRange == (MarkRange{}) {
		s.MarkRange = d.MarkRange
	}
	s.Agent = s.Agent.withDefaults(d.Agent)
	s.Proxy = s.Proxy.withDefaults(d.Proxy)
	return s
}

func (r Role) withDefaults(d Role) Role {
	if r.NodeSelector == nil {
		r.NodeSelector = maps.Clone(d.NodeSelector)
	}
	if reflect.ValueOf(r.Resources).IsZero() {
		r.Resources = *d.Resources.DeepCopy()
	}
	return r
}

func orElse[T comparable](said, fallback T) T {
	var zero T
	if said == zero {
		return fallback
	}
	return said
}
