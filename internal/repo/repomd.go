package repo

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"

	"plague/internal/durable"
)

// maxRepomd is far above what exists: Fedora's has 13 KB.
const maxRepomd = 1 << 20

// A repomd is the root of a repository's metadata: the files it consists of.
type repomd struct {
	XMLName  xml.Name     `xml:"repomd"`
	Revision string       `xml:"revision"`
	Data     []repomdData `xml:"data"`
}

type repomdData struct {
	Type     string         `xml:"type,attr"` // primary, filelists, other, …
	Checksum repomdChecksum `xml:"checksum"`
	Location repomdLocation `xml:"location"`
	Size     int64          `xml:"size"`
}

type repomdChecksum struct {
	Type string `xml:"type,attr"`
	Hex  string `xml:",chardata"`
}

type repomdLocation struct {
	Href string `xml:"href,attr"`
}

// named is a metadata file that can share a folder with those of other
// snapshots: its name begins with its checksum.
var named = regexp.MustCompile(`^repodata/[0-9a-f]{64}-[a-z0-9_]+\.[a-z0-9.]+$`)

// file is the base name of a checksum-named metadata file.
func (d repomdData) file() string { return path.Base(d.Location.Href) }

// number is the snapshot that a repomd.xml of ours belongs to.
func (md *repomd) number() (int64, error) {
	n, err := strconv.ParseInt(md.Revision, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s has the revision %.40q, not the number of a snapshot", repomdFile, md.Revision)
	}
	return n, nil
}

func parseRepomd(text []byte) (*repomd, error) {
	var md repomd
	if err := xml.NewDecoder(bytes.NewReader(text)).Decode(&md); err != nil {
		return nil, fmt.Errorf("this is no %s: %w", repomdFile, err)
	}
	if len(md.Data) == 0 {
		return nil, fmt.Errorf("%s names no metadata", repomdFile)
	}
	return &md, nil
}

// readRepomd reads dir's repomd.xml, which is one of ours: what it names lies
// beside it, under a name that begins with the checksum.
func readRepomd(files *durable.Dir, dir string) (*repomd, []byte, error) {
	text, err := repomdText(files, dir)
	if err != nil {
		return nil, nil, err
	}
	md, err := parseRepomd(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	for _, d := range md.Data {
		if !named.MatchString(d.Location.Href) || d.Checksum.Type != "sha256" || d.file()[:64] != d.Checksum.Hex {
			return nil, nil, fmt.Errorf("%s: %.200q is not named by its SHA-256", dir, d.Location.Href)
		}
	}
	return md, text, nil
}

// repomdText is the repomd.xml of a folder as it stands there.
func repomdText(files *durable.Dir, dir string) ([]byte, error) {
	f, err := files.Open(path.Join(dir, repomdFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readLimited(f, maxRepomd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, repomdFile), err)
	}
	return text, nil
}

func readLimited(r io.Reader, max int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, max+1))
	if err == nil && int64(len(text)) > max {
		err = fmt.Errorf("more than %d bytes", max)
	}
	return text, err
}
