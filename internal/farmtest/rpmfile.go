package farmtest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"plague/internal/rpm"
)

// RPMFile is what a file made by Bytes says of itself. It is a real RPM: rpm
// itself reads it and finds its digests right. It installs nothing.
type RPMFile struct {
	rpm.NEVRA
	SourceRPM string   // file name of the source package; empty: this is one
	BuildArch []string // of a source package
	Comment   string   // tells two builds of one NEVRA apart
}

// Tags and types of an RPM's headers, from rpm's rpmtag.h.
const (
	typeInt32  = 4
	typeString = 6
	typeBinary = 7
	typeTexts  = 8
	typeI18N   = 9

	regionSignature = 62
	regionMain      = 63
)

// tag is one entry of a header.
type tag struct {
	number, kind, count uint32
	data                []byte
}

func text(number uint32, s string) tag { return tag{number, typeString, 1, append([]byte(s), 0)} }

func texts(number uint32, list []string) tag {
	return tag{number, typeTexts, uint32(len(list)), []byte(strings.Join(list, "\x00") + "\x00")}
}

func number(n, value uint32) tag {
	return tag{n, typeInt32, 1, binary.BigEndian.AppendUint32(nil, value)}
}

// Bytes is the whole file.
func (f RPMFile) Bytes() []byte {
	payload := emptyPayload()
	main := header(regionMain, f.tags(payload))
	signature := header(regionSignature, []tag{
		text(273, fmt.Sprintf("%x", sha256.Sum256(main))), // SHA256
		number(1000, uint32(len(main)+len(payload))),      // SIZE
	})
	file := append(f.lead(), signature...)
	for len(file)%8 != 0 {
		file = append(file, 0)
	}
	return slices.Concat(file, main, payload)
}

func (f RPMFile) tags(payload []byte) []tag {
	tags := []tag{
		text(1000, f.Name), text(1001, f.Version), text(1002, f.Release), number(1003, uint32(f.Epoch)),
		{1004, typeI18N, 1, []byte("Nothing\x00")}, {1005, typeI18N, 1, append([]byte(f.Comment), 0)},
		number(1009, 0), text(1014, "MIT"), text(1021, "linux"), text(1022, cmp.Or(f.Arch, "noarch")),
		text(1124, "cpio"), text(1125, "gzip"), text(1126, "9"),
		texts(5092, []string{fmt.Sprintf("%x", sha256.Sum256(payload))}), number(5093, 8),
	}
	if f.SourceRPM != "" {
		tags = append(tags, text(1044, f.SourceRPM))
	} else {
		tags = append(tags, number(1106, 1)) // SOURCEPACKAGE
	}
	if f.BuildArch != nil {
		tags = append(tags, texts(1089, f.BuildArch))
	}
	slices.SortFunc(tags, func(a, b tag) int { return cmp.Compare(a.number, b.number) })
	return tags
}

// lead is the 96 bytes of which only the magic number and the type still mean
// anything.
func (f RPMFile) lead() []byte {
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

// header writes entries behind their region, which frames them.
func header(region uint32, tags []tag) []byte {
	var index, data []byte
	for _, t := range tags {
		for t.kind == typeInt32 && len(data)%4 != 0 {
			data = append(data, 0)
		}
		index = words(index, t.number, t.kind, uint32(len(data)), t.count)
		data = append(data, t.data...)
	}
	index = append(words(nil, region, typeBinary, uint32(len(data)), 16), index...)
	data = words(data, region, typeBinary, uint32(-len(index)), 16)
	intro := words([]byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}, uint32(len(index)/16), uint32(len(data)))
	return slices.Concat(intro, index, data)
}

func words(b []byte, values ...uint32) []byte {
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
