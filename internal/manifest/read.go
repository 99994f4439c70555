package manifest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/schema"
)

// Bounds of what is read.
const (
	// MaxFileBytes is the size of one file.
	MaxFileBytes = 1 << 20
	// MaxFiles is the number of manifests in a directory.
	MaxFiles = 1000
	// MaxDocuments is the number of documents in all files together, items of lists included.
	MaxDocuments = 1000
	// maxProblems of one object: the first ones help, hundreds do not.
	maxProblems = 10
)

// Reader reads manifests. It is safe for use by several goroutines.
type Reader struct {
	schema *schema.Validator

	mu sync.Mutex
	// good are the balancers of the last reading. What is written as before need not be held to the schema again, which
	// is most of the work.
	good map[origin]*v1alpha1.TruePACSBalancer
}

// origin is where an object came from: the text of a document, and the place in it.
type origin struct {
	text         [sha256.Size]byte
	line, column int
}

// NewReader returns a Reader that holds balancers to a schema.
func NewReader(v *schema.Validator) *Reader { return &Reader{schema: v} }

// ReadPath reads a directory, not its subdirectories, or a single file.
func (r *Reader) ReadPath(name string) (Set, []Problem) {
	info, err := os.Stat(name)
	if err != nil {
		return newSet(), []Problem{{File: ".", Message: fmt.Sprintf("%s cannot be read: %v; write the directory or file with the manifests after -f", name, reason(err))}}
	}
	if info.IsDir() {
		return r.Read(os.DirFS(name))
	}
	p := r.start(os.DirFS(filepath.Dir(name)))
	p.file(filepath.Base(name))
	return r.finish(p)
}

// Read reads the manifests of a directory: the files that end in .yaml, .yml or .json. Hidden
// files, subdirectories and all else is left alone. A directory without any manifest is a
// problem: more likely a mount is missing than that all services are to end.
func (r *Reader) Read(dir fs.FS) (Set, []Problem) {
	p := r.start(dir)
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		p.report(Problem{File: ".", Message: fmt.Sprintf("the directory cannot be read: %v", reason(err))})
		return p.set, p.problems
	}
	names := manifests(entries)
	if len(names) == 0 {
		p.report(Problem{File: ".", Message: "the directory holds no manifest: put files that end in .yaml, .yml or .json there; what was read before stays in force"})
	}
	if len(names) > MaxFiles {
		p.report(Problem{File: ".", Message: fmt.Sprintf("the directory holds %d manifests, at most %d are read: put several objects into one file", len(names), MaxFiles)})
		names = names[:MaxFiles]
	}
	for _, name := range names {
		p.file(name)
	}
	return r.finish(p)
}

// manifests are the names of files that look like manifests, in order.
func manifests(entries []fs.DirEntry) []string {
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
			continue
		}
		switch strings.ToLower(path.Ext(name)) {
		case ".yaml", ".yml", ".json":
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// pass is one reading of a directory.
type pass struct {
	schema    *schema.Validator
	dir       fs.FS
	set       Set
	problems  []Problem
	documents int
	lines     map[Object]string
	// before are the balancers of the reading before, good those of this one.
	before, good map[origin]*v1alpha1.TruePACSBalancer
}

func (r *Reader) start(dir fs.FS) *pass {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &pass{schema: r.schema, dir: dir, set: newSet(), lines: map[Object]string{}, before: r.good, good: map[origin]*v1alpha1.TruePACSBalancer{}}
}

func (r *Reader) finish(p *pass) (Set, []Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.good = p.good
	return p.set, p.problems
}

func (p *pass) report(problem Problem) { p.problems = append(p.problems, problem) }

// file reads one file.
func (p *pass) file(name string) {
	text, err := readBounded(p.dir, name)
	if errors.Is(err, errDirectory) {
		return
	}
	if err != nil {
		p.report(Problem{File: name, Message: fmt.Sprintf("the file cannot be read: %v", reason(err))})
		return
	}
	docs, err := split(text)
	if err != nil {
		p.report(Problem{File: name, Message: err.Error()})
		return
	}
	if len(docs) == 0 {
		p.report(Problem{File: name, Message: "the file is empty: write a manifest, or remove the file if its objects are to go; until then they stay in force"})
	}
	for i, doc := range docs {
		if !p.count(name, i+1) {
			return
		}
		d := document{pass: p, file: name, number: i + 1, firstLine: doc.firstLine, sum: sha256.Sum256(doc.text)}
		d.read(doc.text)
	}
}

// count counts documents and list items; false: there are too many.
func (p *pass) count(file string, number int) bool {
	p.documents++
	if p.documents == MaxDocuments+1 {
		p.report(Problem{File: file, Document: number, Message: fmt.Sprintf("there are more than %d documents: the rest is not read; remove what is not needed", MaxDocuments)})
	}
	if p.documents > MaxDocuments {
		p.report(Problem{File: file, Message: "not read, there are too many documents"})
		return false
	}
	return true
}

var errDirectory = errors.New("is a directory")

// readBounded reads a regular file, also through a symbolic link, as ConfigMap volumes have them.
func readBounded(dir fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(dir, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errDirectory
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file: put the manifest's text there")
	}
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err == nil && len(text) > MaxFileBytes {
		err = fmt.Errorf("it is larger than %d KiB: split it into several files", MaxFileBytes>>10)
	}
	return text, err
}

// reason is an error without the path, which the problem names already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
