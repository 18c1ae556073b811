package repo

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// reader resolves a repository from repomd.xml to every RPM, as a client does and
// with none of the code it checks: whatever it finds missing or different is an error.
type reader struct {
	get  func(name string) ([]byte, error)
	have map[string][32]byte // RPMs it has fetched before, by href
}

func (r *reader) resolve() (number int64, c contents, err error) {
	text, err := r.get("repodata/repomd.xml")
	if err != nil {
		return 0, nil, err
	}
	var root struct {
		Revision string `xml:"revision"`
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
		text, err := r.get(d.Location.Href)
		if err != nil {
			return 0, nil, err
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != d.Checksum {
			return 0, nil, fmt.Errorf("%s is %s", d.Location.Href, got)
		}
		if d.Type != "primary" {
			continue
		}
		if c, err = r.packages(text); err != nil {
			return 0, nil, err
		}
	}
	number, err = strconv.ParseInt(root.Revision, 10, 64)
	return number, c, err
}

func (r *reader) packages(primary []byte) (contents, error) {
	z, err := gzip.NewReader(bytes.NewReader(primary))
	if err != nil {
		return nil, err
	}
	var list struct {
		Package []struct {
			Checksum string `xml:"checksum"`
			Location struct {
				Href string `xml:"href,attr"`
			} `xml:"location"`
		} `xml:"package"`
	}
	if err := xml.NewDecoder(z).Decode(&list); err != nil {
		return nil, err
	}
	c := contents{}
	for _, p := range list.Package {
		href := p.Location.Href
		digest, ok := r.have[href]
		if !ok {
			text, err := r.get(href)
			if err != nil {
				return nil, err
			}
			digest = sha256.Sum256(text)
		}
		if got := fmt.Sprintf("%x", digest); !strings.EqualFold(got, p.Checksum) {
			return nil, fmt.Errorf("%s is %s, not %s", href, got, p.Checksum)
		}
		if r.have != nil {
			r.have[href] = digest
		}
		c[href] = digest
	}
	return c, nil
}
