package source

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"regexp"
	"strings"

	"plague"
)

// A listed file is a line of the file sources: what the lookaside has to give.
type listed struct {
	name   string // base name
	method string // md5, sha256 or sha512: the hash, and its folder in the lookaside
	digest string // hexadecimal, lower case
}

// hashes that a file sources may use. MD5 is what the trees of 2005 to 2015 have:
// it finds damage, not malice.
func newHash(method string) hash.Hash {
	switch method {
	case "md5":
		return md5.New()
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// places are where lookasides keep the file, the newest scheme first.
func (l listed) places(pkg string) []string {
	all := []string{strings.Join([]string{pkg, l.name, l.method, l.digest, l.name}, "/")}
	if l.method == "md5" { // before 2015 there was no other method, and no folder for it
		all = append(all, strings.Join([]string{pkg, l.name, l.digest, l.name}, "/"))
	}
	return all
}

const (
	maxSources     = 256 << 10 // bytes of the file
	maxSourceFiles = 2000
)

var (
	oldLine  = regexp.MustCompile(`^([0-9A-Fa-f]{32})[ \t]+\*?(\S+)$`)
	newLine  = regexp.MustCompile(`^(MD5|SHA256|SHA512) \((\S+)\) = ([0-9A-Fa-f]+)$`)
	fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+~@,=:^-]*$`)
)

// parseSources reads both forms of the file, "MD5 name" and
// "SHA512 (name) = digest". Anything else in it is refused.
func parseSources(text string) ([]listed, error) {
	if len(text) > maxSources {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("the file sources has more than %d bytes", maxSources), "list less in it")
	}
	var all []listed
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		l, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("sources line %d: %w", n, err)
		}
		if seen[l.name] || len(all) >= maxSourceFiles {
			return nil, fmt.Errorf("sources line %d: %w", n, refuse("%q comes twice, or is one file too many", l.name, "list each file once"))
		}
		seen[l.name] = true
		all = append(all, l)
	}
	return all, nil
}

func parseLine(line string) (listed, error) {
	var l listed
	if m := oldLine.FindStringSubmatch(line); m != nil {
		l = listed{m[2], "md5", strings.ToLower(m[1])}
	} else if m := newLine.FindStringSubmatch(line); m != nil {
		l = listed{m[2], strings.ToLower(m[1]), strings.ToLower(m[3])}
	} else {
		return l, refuse("%q is no file with its digest", line, "write SHA512 (name) = digest")
	}
	if len(l.digest) != 2*newHash(l.method).Size() {
		return l, refuse("%q is no digest of its kind", l.digest, "write all of its hexadecimal digits")
	}
	if len(l.name) > 200 || !fileName.MatchString(l.name) || strings.Contains(l.name, "..") {
		return l, refuse("%q is no name of a source file", l.name, "use letters, digits and . _ + - ~, and no folder")
	}
	return l, nil
}
