package repo

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/xml"
	"os"
	"path/filepath"
	"strconv"

	"plague/internal/rpm"
)

// A Metadata maker writes the repodata of a snapshot.
type Metadata interface {
	// Make writes Out/repodata for exactly in.Packages. Nobody reads there before
	// Make has returned, and what it wrote is verified then. Each file that
	// repomd.xml names begins its name with its SHA-256; all are gzip.
	Make(ctx context.Context, in MakeInput) error
}

// MakeInput is what a snapshot's repodata is made of. All paths are absolute.
type MakeInput struct {
	Dir      string    // the repository; each package lies at Href below it
	Packages []Package // in no order
	Previous string    // repodata of the parent snapshot, to be used again, or ""
	Out      string    // an empty folder
	Revision int64     // the snapshot's number, for repomd.xml
}

// Plain lists packages by name, href and digest without opening them: enough for
// the simulator and for measuring, where RPMs have no header. It knows nothing of
// what a package requires or provides: a repository that dnf is to use is made by
// Createrepo.
type Plain struct{}

type plainPrimary struct {
	XMLName  xml.Name       `xml:"http://linux.duke.edu/metadata/common metadata"`
	Packages int            `xml:"packages,attr"`
	Package  []plainPackage `xml:"package"`
}

type plainPackage struct {
	Type     string         `xml:"type,attr"`
	Name     string         `xml:"name"`
	Arch     string         `xml:"arch"`
	Version  plainVersion   `xml:"version"`
	Checksum plainChecksum  `xml:"checksum"`
	Location repomdLocation `xml:"location"`
}

type plainVersion struct {
	Epoch   int    `xml:"epoch,attr"`
	Version string `xml:"ver,attr"`
	Release string `xml:"rel,attr"`
}

type plainChecksum struct {
	Type  string `xml:"type,attr"`
	PkgID string `xml:"pkgid,attr"`
	Hex   string `xml:",chardata"`
}

// Make implements Metadata.
func (Plain) Make(ctx context.Context, in MakeInput) error {
	primary := plainPrimary{Packages: len(in.Packages)}
	for _, p := range in.Packages {
		n, err := rpm.ParseFilename(p.File)
		if err != nil {
			return err
		}
		primary.Package = append(primary.Package, plainPackage{
			Type: "rpm", Name: n.Name, Arch: n.Arch, Version: plainVersion{n.Epoch, n.Version, n.Release},
			Checksum: plainChecksum{"sha256", "YES", hex.EncodeToString(p.Digest[:])}, Location: repomdLocation{p.Href()},
		})
	}
	text, err := xml.Marshal(primary)
	if err != nil {
		return err
	}
	packed, err := pack(append([]byte(xml.Header), text...))
	if err != nil {
		return err
	}
	digest := digestOf(packed)
	name := digest + "-primary.xml.gz"
	root, err := xml.Marshal(repomd{
		XMLName:  xml.Name{Space: "http://linux.duke.edu/metadata/repo", Local: "repomd"},
		Revision: strconv.FormatInt(in.Revision, 10),
		Data: []repomdData{{Type: "primary", Checksum: repomdChecksum{"sha256", digest},
			Location: repomdLocation{repodataDir + "/" + name}, Size: int64(len(packed))}},
	})
	if err != nil {
		return err
	}
	dir := filepath.Join(in.Out, repodataDir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name), packed, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, repomdFile), append([]byte(xml.Header), root...), 0o644)
}

func pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err := z.Close()
	return packed.Bytes(), err
}
