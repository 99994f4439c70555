package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// stateVersion is the version of the state file. A file is read if its version is at most one
// more: fields added later are ignored, fields that are gone are zero.
const stateVersion = 1

// ErrNoState says that there is no state file that this version can use.
var ErrNoState = errors.New("no usable state")

// Store keeps the last accepted Node across restarts: the model on disk, private keys on tmpfs
// only. Both files are replaced atomically.
type Store struct {
	// Dir is on disk; the file is model.json.
	Dir string
	// SecretDir is on tmpfs; the file is keys.json. After a power failure it is empty, and
	// listeners whose keys are gone wait for their Secret.
	SecretDir string
}

// Saved is what a Store keeps.
type Saved struct {
	// Node is the last accepted model.
	Node model.Node `json:"node"`
	// Source is what the source of the model wants to be remembered, opaque here.
	Source json.RawMessage `json:"source,omitempty"`
	// Leaving says since when servers are drained; a program that does not know it begins anew.
	Leaving drain.Starts `json:"leaving,omitempty"`
}

type stateFile struct {
	Version int             `json:"version"`
	SHA256  string          `json:"sha256"` // of Saved, as hex
	Saved   json.RawMessage `json:"saved"`
}

func (s *Store) modelPath() string { return filepath.Join(s.Dir, "model.json") }
func (s *Store) keysPath() string  { return filepath.Join(s.SecretDir, "keys.json") }

// Save writes saved; private keys go to SecretDir.
func (s *Store) Save(saved Saved) error {
	keys := takeKeys(&saved.Node)
	body, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	sum := sha256.Sum256(body)
	file, err := json.Marshal(stateFile{stateVersion, hex.EncodeToString(sum[:]), body})
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	secret, err := json.Marshal(keys)
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	return errors.Join(replaceFile(s.keysPath(), secret), replaceFile(s.modelPath(), file))
}

// Load reads what Save wrote. ErrNoState: there is nothing, it is damaged, or a version too new
// wrote it; the error says which.
func (s *Store) Load() (Saved, error) {
	var saved Saved
	body, err := os.ReadFile(s.modelPath())
	if err != nil {
		return saved, fmt.Errorf("%w: %w", ErrNoState, err)
	}
	if saved, err = decodeState(body); err != nil {
		return saved, fmt.Errorf("%w: %s: %w", ErrNoState, s.modelPath(), err)
	}
	keys := map[string][]byte{}
	secret, err := os.ReadFile(s.keysPath())
	if err == nil {
		err = json.Unmarshal(secret, &keys)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return saved, fmt.Errorf("%w: %s: %w", ErrNoState, s.keysPath(), err)
	}
	giveKeys(&saved.Node, keys)
	return saved, nil
}

func decodeState(body []byte) (saved Saved, err error) {
	var file stateFile
	if err := json.Unmarshal(body, &file); err != nil {
		return saved, fmt.Errorf("is damaged: %w", err)
	}
	if file.Version < 1 || file.Version > stateVersion+1 {
		return saved, fmt.Errorf("has version %d, this program reads up to %d", file.Version, stateVersion+1)
	}
	sum := sha256.Sum256(file.Saved)
	if hex.EncodeToString(sum[:]) != file.SHA256 {
		return saved, errors.New("is damaged: its checksum does not fit")
	}
	if err := json.Unmarshal(file.Saved, &saved); err != nil {
		return Saved{}, fmt.Errorf("is damaged: %w", err)
	}
	return saved, nil
}

// takeKeys removes private keys from node, without changing what the caller holds, and returns
// them by keyName.
func takeKeys(node *model.Node) map[string][]byte {
	keys := map[string][]byte{}
	node.Proxy.Listeners = mapCertificates(node.Proxy.Listeners, func(c *model.Certificate) {
		keys[keyName(c)] = c.KeyPEM
		c.KeyPEM = nil
	})
	return keys
}

// keyName tells two certificates of one Secret apart: one that is kept, and one that took its place elsewhere.
func keyName(c *model.Certificate) string {
	sum := sha256.Sum256(c.CertPEM)
	return c.Name + " " + hex.EncodeToString(sum[:])
}

// giveKeys puts private keys back; a listener that lacks one is left out: it cannot be served.
func giveKeys(node *model.Node, keys map[string][]byte) {
	var usable []model.Listener
	for _, l := range mapCertificates(node.Proxy.Listeners, func(c *model.Certificate) { c.KeyPEM = keyOf(keys, c) }) {
		if hasKeys(l) {
			usable = append(usable, l)
		}
	}
	node.Proxy.Listeners = usable
}

// keyOf also finds keys that version 0.1 wrote, by the certificate's name alone.
func keyOf(keys map[string][]byte, c *model.Certificate) []byte {
	if key, ok := keys[keyName(c)]; ok {
		return key
	}
	return keys[c.Name]
}

func hasKeys(l model.Listener) bool {
	if l.TLS == nil {
		return true
	}
	for _, c := range l.TLS.Certificates {
		if len(bytes.TrimSpace(c.KeyPEM)) == 0 {
			return false
		}
	}
	return true
}

// mapCertificates returns a copy of the listeners with change applied to every certificate.
func mapCertificates(listeners []model.Listener, change func(*model.Certificate)) []model.Listener {
	out := make([]model.Listener, 0, len(listeners))
	for _, l := range listeners {
		if l.TLS != nil {
			tls := *l.TLS
			tls.Certificates = nil
			for _, c := range l.TLS.Certificates {
				change(&c)
				tls.Certificates = append(tls.Certificates, c)
			}
			l.TLS = &tls
		}
		out = append(out, l)
	}
	return out
}
