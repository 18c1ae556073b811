package repo

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"plague"
	"plague/internal/rpm"
)

// A Snapshot is the content of a target's repository under its number.
type Snapshot struct {
	Target   string
	Number   int64                // 1, 2, 3…; greater than Parent
	Parent   int64                // the committed snapshot it grew from; 0: none
	Arches   []string             // repositories that are made, with or without packages
	Packages map[string][]Package // by the arch of the repository, all of them, not only the new ones
}

// A Package is one RPM as it lies in a repository.
type Package struct {
	Job    int64    // uid of the job that built it; part of its path
	Arch   string   // of the RPM; which repositories it lands in is decided by the caller
	File   string   // name-version-release.arch.rpm
	Digest [32]byte // SHA-256 of the file
	Path   string   // absolute, in the artifact store
}

// Href is where a package lies within its repository.
func (p Package) Href() string {
	return path.Join(packagesDir, strconv.FormatInt(p.Job, 10), p.File)
}

func (p Package) check() error {
	n, err := rpm.ParseFilename(p.File)
	if err != nil {
		return err
	}
	if n.Arch != p.Arch {
		return fmt.Errorf("%w: %s is said to be of arch %q", plague.ErrInvalid, p.File, p.Arch)
	}
	if p.Job <= 0 {
		return fmt.Errorf("%w: %s has no job (%d)", plague.ErrInvalid, p.File, p.Job)
	}
	return nil
}

func (s Snapshot) check() error {
	if s.Number <= s.Parent || s.Parent < 0 {
		return fmt.Errorf("%w: snapshot %d cannot come after %d", plague.ErrInvalid, s.Number, s.Parent)
	}
	for arch := range s.Packages {
		if !slices.Contains(s.Arches, arch) {
			return fmt.Errorf("%w: packages for %s, which is none of the arches %q", plague.ErrInvalid, arch, s.Arches)
		}
	}
	for _, arch := range s.Arches {
		seen := make(map[string]int64, len(s.Packages[arch]))
		for _, p := range s.Packages[arch] {
			if err := p.check(); err != nil {
				return err
			}
			if other, ok := seen[p.File]; ok { // clients take either of two that have one name
				return fmt.Errorf("%w: %s comes from the jobs %d and %d", plague.ErrConflict, p.File, other, p.Job)
			}
			seen[p.File] = p.Job
		}
	}
	return nil
}

// contents is what a snapshot holds for one arch: digests by href.
type contents map[string][32]byte

func contentsOf(ps []Package) contents {
	c := make(contents, len(ps))
	for _, p := range ps {
		c[p.Href()] = p.Digest
	}
	return c
}

// sums is the text of SHA256SUMS: the same contents give the same text.
func (c contents) sums() []byte {
	hrefs := make([]string, 0, len(c))
	for href := range c {
		hrefs = append(hrefs, href)
	}
	slices.Sort(hrefs)
	var text bytes.Buffer
	for _, href := range hrefs {
		digest := c[href]
		fmt.Fprintf(&text, "%s  %s\n", hex.EncodeToString(digest[:]), href)
	}
	return text.Bytes()
}

func parseSums(text []byte) (contents, error) {
	c := contents{}
	for line := bufio.NewScanner(bytes.NewReader(text)); line.Scan(); {
		digits, href, ok := bytes.Cut(line.Bytes(), []byte("  "))
		digest, err := parseDigest(string(digits))
		if !ok || err != nil {
			return nil, fmt.Errorf("%s has a line %.80q", sumsFile, line.Text())
		}
		c[string(href)] = digest
	}
	return c, nil
}

// contents reads what snapshot n holds; nil when it is not there.
func (b branch) contents(n int64) (contents, error) {
	text, err := b.files.ReadFile(path.Join(b.snapshot(n), sumsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := parseSums(text)
	if err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", n, err)
	}
	return c, nil
}

func parseDigest(digits string) (digest [32]byte, err error) {
	if len(digits) != hex.EncodedLen(len(digest)) {
		return digest, fmt.Errorf("%.80q is not a SHA-256", digits)
	}
	_, err = hex.Decode(digest[:], []byte(digits))
	return digest, err
}

func digestOf(text []byte) string {
	digest := sha256.Sum256(text)
	return hex.EncodeToString(digest[:])
}
