package xmlrpc

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// A pathError says where in a value something is wrong:
// "orders.attempts[3].arch: want string, got int".
type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return strings.TrimPrefix(e.path, ".") + ": " + e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

// within puts a step, ".name" or "[3]", before the path of an error.
func within(step string, err error) error {
	if e, ok := err.(*pathError); ok {
		return &pathError{step + e.path, e.err}
	}
	return &pathError{step, err}
}

// A field is a field of a Go struct that is a member of a struct on the wire.
type field struct {
	name      string
	index     []int
	omitEmpty bool
}

// A mapper maps Go values of any type to values and back. It lives for one
// mapping and remembers the types it has met there.
type mapper struct{ known map[reflect.Type][]field }

func newMapper() mapper { return mapper{known: map[reflect.Type][]field{}} }

// fields lists the members of a struct type: its exported fields, under the
// name in their tag or else their own in snake_case, and in their place those
// of embedded structs.
func (m mapper) fields(t reflect.Type) ([]field, error) {
	if list, ok := m.known[t]; ok {
		return list, nil
	}
	var list []field
	taken := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		tag, options, _ := strings.Cut(f.Tag.Get("xmlrpc"), ",")
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			return nil, fmt.Errorf("type %s embeds a pointer", t)
		}
		inlined := f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type != timeType
		if !f.IsExported() || inlined || tag == "-" {
			continue
		}
		if tag == "" {
			tag = snake(f.Name)
		}
		if taken[tag] {
			return nil, fmt.Errorf("type %s has two members %q", t, tag)
		}
		taken[tag] = true
		list = append(list, field{tag, f.Index, options == "omitempty"})
	}
	m.known[t] = list
	return list, nil
}

// snake turns a Go name into a member's: BuilderAddr, SRPMSize, RPMs become
// builder_addr, srpm_size, rpms.
func snake(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			rest := string(runes[i+1:])
			ends := rest != "" && rest != "s" && unicode.IsLower(runes[i+1]) // of an abbreviation
			if !unicode.IsUpper(runes[i-1]) || ends {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Types that are no container and no number though their kind says so.
var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)
