package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// Kinds of objects that are read.
const (
	KindBalancer = "TruePACSBalancer"
	KindSecret   = "Secret"
)

// Object names an object.
type Object struct {
	// Kind is KindBalancer or KindSecret.
	Kind string
	types.NamespacedName
}

// String returns "kind namespace/name".
func (o Object) String() string { return o.Kind + " " + o.NamespacedName.String() }

// Secret is a certificate with its private key, or authorities and revocation lists.
type Secret struct {
	// CertPEM is the chain, leaf first (tls.crt); nil: the Secret is of type Opaque.
	CertPEM []byte
	// KeyPEM is the private key (tls.key).
	KeyPEM []byte
	// Data is the rest by key.
	Data map[string][]byte
}

// Format keeps the key out of every log: it prints nothing of the Secret.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret") }

// Set is everything good that was read.
type Set struct {
	// Balancers are in the order of files and documents. One without creationTimestamp gets a
	// time near 1970 in this order, so that of two that conflict the first has it.
	Balancers []*v1alpha1.TruePACSBalancer
	// Secrets are the Secrets of types kubernetes.io/tls and Opaque.
	Secrets map[types.NamespacedName]Secret
	// Files says in which file each object is.
	Files map[Object]string
}

// Problem says what is wrong with a file or an object in it.
type Problem struct {
	// File is the file's name in its directory; "." is the directory itself.
	File string
	// Line is where in the file, 0 if unknown.
	Line int
	// Document is the number of the document in the file, from 1; 0: the file as a whole.
	Document int
	// Object is the object that cannot be used; its Name is empty if that cannot be told.
	Object Object
	// Message says what is wrong and what to write instead.
	Message string
}

// Error implements error: file:line, document, object, message.
func (p Problem) Error() string {
	out := p.File
	if p.Line > 0 {
		out += fmt.Sprintf(":%d", p.Line)
	}
	if p.Document > 0 {
		out += fmt.Sprintf(" (document %d", p.Document)
		if p.Object.Name != "" {
			out += ", " + p.Object.String()
		}
		out += ")"
	}
	return out + ": " + p.Message
}

// Keep returns next with those objects of previous that did not go away but turned bad. A problem
// keeps the object that it names. If it names none, or one of ours that was not there before and
// may be an old one with a new name, it keeps all that was in the file; a problem of the
// directory keeps everything. What is missing without a problem is left out: it was removed.
func Keep(previous, next Set, problems []Problem) Set {
	k := newKeeper(previous, problems)
	out := next.clone()
	for _, b := range previous.Balancers {
		o := objectOf(b)
		if _, there := next.Files[o]; !there && k.keeps(o, previous.Files[o]) {
			out.addBalancer(b, previous.Files[o])
		}
	}
	for name, s := range previous.Secrets {
		o := Object{KindSecret, name}
		if _, there := next.Files[o]; !there && k.keeps(o, previous.Files[o]) {
			out.Secrets[name], out.Files[o] = s, previous.Files[o]
		}
	}
	slices.SortStableFunc(out.Balancers, func(a, b *v1alpha1.TruePACSBalancer) int {
		return cmp.Compare(out.Files[objectOf(a)], out.Files[objectOf(b)])
	})
	return out
}

// keeper knows what has turned bad.
type keeper struct {
	objects map[Object]bool
	files   map[string]bool
}

func newKeeper(previous Set, problems []Problem) keeper {
	k := keeper{map[Object]bool{}, map[string]bool{}}
	for _, p := range problems {
		found := false
		for o, file := range previous.Files {
			if o == p.Object || (o.NamespacedName == p.Object.NamespacedName && file == p.File) {
				k.objects[o], found = true, true
			}
		}
		if p.Object.Name == "" || (!found && known(p.Object.Kind)) {
			k.files[p.File] = true
		}
	}
	return k
}

func (k keeper) keeps(o Object, file string) bool {
	return k.objects[o] || k.files[file] || k.files["."]
}

func newSet() Set {
	return Set{Secrets: map[types.NamespacedName]Secret{}, Files: map[Object]string{}}
}

func (s Set) clone() Set {
	out := newSet()
	for _, b := range s.Balancers {
		out.addBalancer(b, s.Files[objectOf(b)])
	}
	for name, secret := range s.Secrets {
		o := Object{KindSecret, name}
		out.Secrets[name], out.Files[o] = secret, s.Files[o]
	}
	return out
}

func (s *Set) addBalancer(b *v1alpha1.TruePACSBalancer, file string) {
	s.Balancers = append(s.Balancers, b)
	s.Files[objectOf(b)] = file
}

func objectOf(b *v1alpha1.TruePACSBalancer) Object {
	return Object{KindBalancer, types.NamespacedName{Namespace: b.Namespace, Name: b.Name}}
}
