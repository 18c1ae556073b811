package rpm

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A Blank is an RPM that installs nothing, for measuring and for tests: its file
// is made here, without rpmbuild, and rpm itself finds its digests right.
type Blank struct {
	NEVRA
	SourceRPM string   // file name of the source package; empty: this is one
	BuildArch []string // of a source package
	BuildHost string   // tells two builds of one NEVRA apart
	Summary   string   // default Nothing; a trait, unlike the host
}

// The regions that frame a header, from rpm's rpmtag.h.
const (
	regionSignature = 62
	regionMain      = 63
)

// blankTag is one entry of a header.
type blankTag struct {
	number, kind, count uint32
	data                []byte
}

func textTag(number uint32, s string) blankTag {
	return blankTag{number, typeString, 1, append([]byte(s), 0)}
}

func textsTag(number uint32, list []string) blankTag {
	return blankTag{number, typeStringArray, uint32(len(list)), []byte(strings.Join(list, "\x00") + "\x00")}
}

func numberTag(n, value uint32) blankTag {
	return blankTag{n, typeInt32, 1, binary.BigEndian.AppendUint32(nil, value)}
}

// Bytes is the whole file.
func (f Blank) Bytes() []byte {
	payload := emptyPayload()
	main := blankHeader(regionMain, f.tags(payload))
	signature := blankHeader(regionSignature, []blankTag{
		textTag(273, fmt.Sprintf("%x", sha256.Sum256(main))), // SHA256
		numberTag(1000, uint32(len(main)+len(payload))),      // SIZE
	})
	file := append(f.lead(), signature...)
	for len(file)%8 != 0 {
		file = append(file, 0)
	}
	return slices.Concat(file, main, payload)
}

func (f Blank) tags(payload []byte) []blankTag {
	tags := []blankTag{
		textTag(1000, f.Name), textTag(1001, f.Version), textTag(1002, f.Release), numberTag(1003, uint32(f.Epoch)),
		{1004, typeI18NString, 1, append([]byte(cmp.Or(f.Summary, "Nothing")), 0)}, {1005, typeI18NString, 1, []byte("Nothing\x00")},
		textTag(1007, f.BuildHost),
		numberTag(1009, 0), textTag(1014, "MIT"), textTag(1021, "linux"), textTag(1022, cmp.Or(f.Arch, "noarch")),
		textTag(1124, "cpio"), textTag(1125, "gzip"), textTag(1126, "9"),
		textsTag(5092, []string{fmt.Sprintf("%x", sha256.Sum256(payload))}), numberTag(5093, 8),
	}
	if f.SourceRPM != "" {
		tags = append(tags, textTag(1044, f.SourceRPM))
	} else {
		tags = append(tags, numberTag(1106, 1)) // SOURCEPACKAGE
	}
	if f.BuildArch != nil {
		tags = append(tags, textsTag(1089, f.BuildArch))
	}
	slices.SortFunc(tags, func(a, b blankTag) int { return cmp.Compare(a.number, b.number) })
	return tags
}

// lead is the 96 bytes of which only the magic number and the type still mean
// anything.
func (f Blank) lead() []byte {
	b := make([]byte, 96)
	copy(b, "\xed\xab\xee\xdb\x03\x00")
	if f.SourceRPM == "" {
		b[7] = 1
	}
	b[9] = 1 // some arch
	copy(b[10:75], f.NVR())
	b[77] = 1 // Linux
	b[79] = 5 // the signature is a header
	return b
}

// blankHeader writes entries behind their region, which frames them.
func blankHeader(region uint32, tags []blankTag) []byte {
	var index, data []byte
	for _, t := range tags {
		for t.kind == typeInt32 && len(data)%4 != 0 {
			data = append(data, 0)
		}
		index = bigEndian(index, t.number, t.kind, uint32(len(data)), t.count)
		data = append(data, t.data...)
	}
	index = append(bigEndian(nil, region, typeBinary, uint32(len(data)), 16), index...)
	data = bigEndian(data, region, typeBinary, uint32(-len(index)), 16)
	intro := bigEndian([]byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}, uint32(len(index)/16), uint32(len(data)))
	return slices.Concat(intro, index, data)
}

func bigEndian(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// emptyPayload is a cpio archive without files.
func emptyPayload() []byte {
	const name = "TRAILER!!!\x00"
	entry := "070701" + strings.Repeat("00000000", 4) + "00000001" + strings.Repeat("00000000", 6) +
		fmt.Sprintf("%08x", len(name)) + "00000000" + name
	for len(entry)%4 != 0 {
		entry += "\x00"
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(entry))
	if err := cmp.Or(err, z.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return packed.Bytes()
}
