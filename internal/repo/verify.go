package repo

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"

	"plague/internal/durable"
)

// maxOpen bounds what a metadata file may unpack to; the file lists of all of
// Debian would have about 1 GB.
const maxOpen = 4 << 30

// verify reads the repodata below dir and says whether it is that of snapshot n
// with exactly the packages wanted: each href with its digest, no more, no less.
// A maker may skip a package and still report success (createrepo_c issue 140).
// It returns the names of the files that repomd.xml names.
func verify(ctx context.Context, files *durable.Dir, dir string, want contents, n int64) ([]string, error) {
	dir = path.Join(dir, repodataDir)
	md, _, err := readRepomd(files, dir)
	if err != nil {
		return nil, err
	}
	if got, err := md.number(); err != nil || got != n {
		return nil, fmt.Errorf("%s has the revision %.40q, not %d", repomdFile, md.Revision, n)
	}
	var names []string
	primaries := 0
	for _, d := range md.Data {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := verifyFile(files, dir, d, want); err != nil {
			return nil, fmt.Errorf("%s: %w", d.file(), err)
		}
		if d.Type == "primary" {
			primaries++
		}
		names = append(names, d.file())
	}
	if primaries != 1 {
		return nil, fmt.Errorf("%s names %d primary files, not 1", repomdFile, primaries)
	}
	return names, nil
}

// verifyFile holds a metadata file against what repomd.xml says of it, then
// against what is wanted: primary in full, the others by their number of packages.
func verifyFile(files *durable.Dir, dir string, d repomdData, want contents) error {
	f, err := files.Open(path.Join(dir, d.file()))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); size != d.Size || got != d.Checksum.Hex {
		return fmt.Errorf("%d bytes with the SHA-256 %s, where %s says %d and %s", size, got, repomdFile, d.Size, d.Checksum.Hex)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	open, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return err
	}
	x := xml.NewDecoder(&limited{open, maxOpen})
	switch d.Type {
	case "primary":
		return verifyPrimary(x, want)
	case "filelists", "other":
		packages, err := root(x)
		if err != nil {
			return err
		}
		return checkCount(packages, len(want))
	}
	return nil
}

// root reads the first element, which says how many packages follow.
func root(x *xml.Decoder) (packages string, err error) {
	for {
		token, err := x.RawToken()
		if err != nil {
			return "", err
		}
		if start, ok := token.(xml.StartElement); ok {
			return attr(start, "packages"), nil
		}
	}
}

func checkCount(packages string, want int) error {
	if packages != strconv.Itoa(want) {
		return fmt.Errorf("announces %.20q packages, not %d", packages, want)
	}
	return nil
}

// verifyPrimary reads package by package: its memory does not grow with one's
// length, and its time only with the length of the file. RawToken is twice as
// quick as Token; that tags match, it leaves to us, and the depth is what matters.
func verifyPrimary(x *xml.Decoder, want contents) error {
	packages, err := root(x)
	if err != nil {
		return err
	}
	found := contents{}
	depth, inDigest := 1, false
	var href, digits string
	for {
		token, err := x.RawToken()
		if err == io.EOF && depth == 0 {
			return errors.Join(compare(found, want), checkCount(packages, len(want)))
		}
		if err != nil {
			return fmt.Errorf("ends too early: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			if depth == 3 && token.Name.Local == "location" {
				href = attr(token, "href")
			}
			inDigest = depth == 3 && token.Name.Local == "checksum" && attr(token, "type") == "sha256"
		case xml.CharData:
			if inDigest {
				digits += string(token)
			}
		case xml.EndElement:
			depth--
			inDigest = false
			if depth != 1 {
				continue
			}
			if err := found.add(href, digits); err != nil {
				return err
			}
			href, digits = "", ""
		}
	}
}

func (c contents) add(href, digits string) error {
	plain, err := url.PathUnescape(href) // some versions of createrepo_c escape
	if err != nil {
		return err
	}
	digest, err := parseDigest(digits)
	if err != nil {
		return fmt.Errorf("%.200q: %w", href, err)
	}
	if _, ok := c[plain]; ok {
		return fmt.Errorf("lists %.200q twice", href)
	}
	c[plain] = digest
	return nil
}

// compare says how what was found differs from what is wanted.
func compare(found, want contents) error {
	var wrong []string
	for href, digest := range want {
		got, ok := found[href]
		if !ok {
			wrong = append(wrong, "it lacks "+href)
		} else if got != digest {
			wrong = append(wrong, fmt.Sprintf("%s is %x there, not %x", href, got, digest))
		}
	}
	for href := range found {
		if _, ok := want[href]; !ok {
			wrong = append(wrong, "it has "+href+", which nobody asked for")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	first := strings.Join(wrong[:min(3, len(wrong))], "; ")
	return fmt.Errorf("lists %d packages, not the %d asked for: %s (differences: %d)", len(found), len(want), first, len(wrong))
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// limited reads at most left bytes; unlike io.LimitReader it says so.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("unpacks to more than repodata may have")
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
