package settings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Setting is a setting and its value.
type Setting struct{ Name, Value string }

// Host has the settings.
type Host interface {
	// Read returns the value of a setting; fs.ErrNotExist: there is none of that name now, as
	// those of an interface that is gone.
	Read(ctx context.Context, name string) (string, error)
	// Write changes a setting, and returns nil only if it has the value then.
	Write(ctx context.Context, s Setting) error
}

// Files are settings that are files below a folder, as those below /proc/sys/net are; their names
// are paths in it.
type Files struct{ Dir string }

var _ Host = Files{}

// Read implements Host.
func (f Files) Read(_ context.Context, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(f.Dir, name))
	return strings.TrimSpace(string(b)), err
}

// Write implements Host. It does not make the file: a folder that is not the kernel's would hide a
// mistake.
func (f Files) Write(ctx context.Context, s Setting) error {
	file, err := os.OpenFile(filepath.Join(f.Dir, s.Name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(s.Value)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if now, err := f.Read(ctx, s.Name); err != nil || now != s.Value {
		return errors.Join(err, fmt.Errorf("it is %q after it was set", now))
	}
	return nil
}
