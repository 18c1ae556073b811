package farmtest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"plague"
	"plague/internal/durable"
)

// Reader reads the repositories as dnf does, from repomd.xml to each RPM, with
// none of the code that writes them. It looks between any two operations that
// change what is visible, so that no state of the tree is missed.
type Reader struct {
	w *World

	mu     sync.Mutex // guards the fields below
	known  map[string]string
	newest map[string]int64 // what each stable address has shown
	looks  int
}

func newReader(w *World) *Reader {
	return &Reader{w: w, known: map[string]string{}, newest: map[string]int64{}}
}

// Hook is the power's, with a look at the repositories before each change of a
// name below repos/.
func (r *Reader) Hook(p *Power) durable.Hook {
	return func(op, name string) error {
		if strings.HasPrefix(name, "repos/") && (op == durable.OpRename || op == durable.OpRemove || op == durable.OpRemoveAll) {
			r.Look()
		}
		return p.Use("file " + op)
	}
}

// Look reads every stable address once.
func (r *Reader) Look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks++
	for i := range r.w.targets {
		t := &r.w.targets[i]
		for _, arch := range t.BaseArches {
			dir := filepath.Join(r.w.results(), "repos", t.String(), arch)
			n, shown, err := r.resolve(dir, "repodata")
			if errors.Is(err, fs.ErrNotExist) && r.newest[dir] == 0 {
				continue // before the first publication
			}
			if err != nil {
				r.w.broken("3: a reader of %s for %s: %v", t, arch, err)
				continue
			}
			if n < r.newest[dir] {
				r.w.broken("3: %s for %s went back from snapshot %d to %d", t, arch, r.newest[dir], n)
			}
			r.newest[dir] = n
			_, whole, err := r.resolve(dir, fmt.Sprintf("@%d/repodata", n))
			if err != nil || !maps.Equal(shown, whole) {
				r.w.broken("3: %s for %s shows %v, snapshot %d holds %v (%v)", t, arch, shown, n, whole, err)
			}
		}
	}
}

// Shown looks, and gives the number of the snapshot that a stable address shows.
func (r *Reader) Shown(t *plague.Target, arch string) int64 {
	r.Look()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest[filepath.Join(r.w.results(), "repos", t.String(), arch)]
}

// resolve reads a repository's metadata and every RPM it names: digests by
// href.
func (r *Reader) resolve(dir, repodata string) (number int64, rpms map[string]string, err error) {
	text, err := os.ReadFile(filepath.Join(dir, repodata, "repomd.xml"))
	if err != nil {
		return 0, nil, err
	}
	var root struct {
		Revision int64 `xml:"revision"`
		Data     []struct {
			Type     string `xml:"type,attr"`
			Checksum string `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"data"`
	}
	if err := xml.Unmarshal(text, &root); err != nil {
		return 0, nil, err
	}
	for _, d := range root.Data {
		text, err := os.ReadFile(filepath.Join(dir, filepath.Dir(repodata), d.Location.Href))
		if err != nil {
			return 0, nil, fmt.Errorf("repomd.xml of snapshot %d names what is not there: %s", root.Revision, err.Error())
		}
		if got := sha(text); got != d.Checksum {
			return 0, nil, fmt.Errorf("%s is %s", d.Location.Href, got)
		}
		if d.Type == "primary" {
			rpms, err = r.packages(dir, text)
		}
		if err != nil {
			return 0, nil, err
		}
	}
	return root.Revision, rpms, nil
}

func (r *Reader) packages(dir string, primary []byte) (map[string]string, error) {
	z, err := gzip.NewReader(bytes.NewReader(primary))
	if err != nil {
		return nil, err
	}
	var root struct {
		Package []struct {
			Checksum string `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"package"`
	}
	if err := xml.NewDecoder(z).Decode(&root); err != nil {
		return nil, err
	}
	rpms := map[string]string{}
	for _, p := range root.Package {
		rpms[p.Location.Href] = p.Checksum
		file := filepath.Join(dir, p.Location.Href)
		got, ok := r.known[file]
		if !ok {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("the metadata names what is not there: %s", err.Error())
			}
			got = sha(text)
			r.known[file] = got
		}
		if got != p.Checksum {
			return nil, fmt.Errorf("%s is %s, not %s", file, got, p.Checksum)
		}
	}
	return rpms, nil
}

// Forget makes the next look read every RPM anew.
func (r *Reader) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.known)
}

func sha(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
