package external

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"golang.org/x/sys/unix"
)

// Errors of a program that may not be run; the wrapping text says what to do.
var (
	ErrOff       = errors.New("external checks are switched off")
	ErrForbidden = errors.New("the check program may not be run")
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func forbidden(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrForbidden)...)
}

// openProgram opens a program for running, after everything about it has been examined.
func openProgram(dir, name string) (*os.File, error) {
	if dir == "" {
		return nil, ErrOff
	}
	if !namePattern.MatchString(name) {
		return nil, forbidden("%q is no plain file name of a-z, 0-9, dot, underscore and minus", name)
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("directory of check programs %s: %w", dir, err)
	}
	defer unix.Close(fd)
	if err := examine(fd, unix.S_IFDIR); err != nil {
		return nil, fmt.Errorf("directory of check programs %s: %w", dir, err)
	}
	file, err := unix.Openat2(fd, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, forbidden("%s is a symbolic link; copy the program there", name)
	case errors.Is(err, fs.ErrNotExist):
		return nil, forbidden("%s is not in %s", name, dir)
	case err != nil:
		return nil, fmt.Errorf("open check program %s: %w", name, err)
	}
	if err := examine(file, unix.S_IFREG); err != nil {
		unix.Close(file)
		return nil, fmt.Errorf("check program %s: %w", name, err)
	}
	return os.NewFile(uintptr(file), name), nil
}

// examine checks kind, owner and mode.
func examine(fd int, kind uint32) error {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return err
	}
	switch {
	case s.Mode&unix.S_IFMT != kind && kind == unix.S_IFREG:
		return forbidden("it is no regular file")
	case s.Uid != 0:
		return forbidden("it belongs to user %d; make it root's (chown root)", s.Uid)
	case s.Mode&0o022 != 0:
		return forbidden("group or others may write it; forbid that (chmod go-w)")
	case kind == unix.S_IFREG && s.Mode&0o111 == 0:
		return forbidden("it is not executable (chmod a+rx)")
	}
	return nil
}
