package kernel

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
)

// Closure returns the files of the named modules and of all they depend on, in the
// order in which they can be loaded, relative to the release's folder. Modules is
// the content of a modules.dep; a name that is not in it is an error, because it is
// built in or misspelt.
func Closure(modules io.Reader, names ...string) ([]string, error) {
	byName, dependencies, err := parseDependencies(modules)
	if err != nil {
		return nil, err
	}
	var order []string
	seen := make(map[string]bool)
	var visit func(file string)
	visit = func(file string) {
		if seen[file] {
			return
		}
		seen[file] = true
		for _, dependency := range dependencies[file] {
			visit(dependency)
		}
		order = append(order, file)
	}
	for _, name := range names {
		file, exists := byName[moduleName(name)]
		if !exists {
			return nil, fmt.Errorf("kernel: no module is called %q: it is built in or misspelt", name)
		}
		visit(file)
	}
	return order, nil
}

// parseDependencies reads "file: dependency dependency" lines (modules.dep(5)).
func parseDependencies(r io.Reader) (byName map[string]string, dependencies map[string][]string, err error) {
	byName, dependencies = make(map[string]string), make(map[string][]string)
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		file, rest, ok := strings.Cut(scanner.Text(), ":")
		if !ok {
			return nil, nil, fmt.Errorf("kernel: modules.dep has the line %q without a colon", scanner.Text())
		}
		byName[moduleName(file)] = file
		dependencies[file] = strings.Fields(rest)
	}
	if err := scanner.Err(); err != nil {
		return nil, nil, fmt.Errorf("kernel: modules.dep: %w", err)
	}
	return byName, dependencies, nil
}

// moduleName is the kernel's name of a module's file: "-" and "_" are the same.
func moduleName(file string) string {
	base := strings.TrimSuffix(path.Base(filepath.ToSlash(file)), ".ko")
	return strings.ReplaceAll(base, "-", "_")
}
