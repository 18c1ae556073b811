package rpm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// A section is one of the two headers of an RPM file: an index of entries and
// their data, https://rpm-software-management.github.io/rpm/manual/format_header.html.
type section struct {
	limit
	intro   [introSize]byte
	index   []byte
	entries []entry // sorted by tag, each once
	data    []byte
}

// limit is what a section may ask for before it is believed.
type limit struct {
	what    string
	region  uint32 // tag of the first entry, which frames the section
	entries uint32
	data    uint32 // bytes
	whole   bool   // the region must be all of the section
}

// The entries are rpm's own limits (lib/header.c, HEADER_TAGS_MAX and
// hdrblobInit). The data is ours: rpm allows 256 and 64 MiB, and the largest
// header of Fedora has 30.
var (
	signatureLimit = limit{what: "signature header", region: regionSignature, entries: 32, data: 8 << 20}
	mainLimit      = limit{what: "main header", region: regionMain, entries: 0xffff, data: 64 << 20, whole: true}
)

const (
	introSize   = 16
	entrySize   = 16
	trailerSize = 16
)

// Types of data. Their numbers are rpm's.
const (
	typeChar = iota + 1
	typeInt8
	typeInt16
	typeInt32
	typeInt64
	typeString
	typeBinary
	typeStringArray
	typeI18NString
)

type entry struct {
	tag, kind     uint32
	offset, count uint32
}

func (e entry) stringy() bool {
	return e.kind == typeString || e.kind == typeStringArray || e.kind == typeI18NString
}

// size of one item and its alignment in bytes; a string has one at least.
func (e entry) unit() uint32 {
	switch e.kind {
	case typeInt16:
		return 2
	case typeInt32:
		return 4
	case typeInt64:
		return 8
	}
	return 1
}

// checkIndex decides on the index alone, before memory is set aside for the
// data of size bytes: rpm's hdrblobVerifyInfo.
func (s *section) checkIndex(size uint32) error {
	s.entries = make([]entry, 0, len(s.index)/entrySize)
	end := uint64(0)
	for i := 0; i < len(s.index); i += entrySize {
		field := func(n int) uint32 { return binary.BigEndian.Uint32(s.index[i+4*n:]) }
		e := entry{tag: field(0), kind: field(1), offset: field(2), count: field(3)}
		if i == 0 {
			if e.tag != s.region || e.kind != typeBinary || e.count != trailerSize || uint64(e.offset)+trailerSize > uint64(size) {
				return damaged("the %s does not begin with its region", s.what)
			}
			s.entries = append(s.entries, e)
			continue
		}
		switch {
		case e.kind < typeChar || e.kind > typeI18NString:
			return damaged("the %s has tag %d with the unknown type %d", s.what, e.tag, e.kind)
		case e.tag < 100: // those below are regions
			return damaged("the %s has the illegal tag %d", s.what, e.tag)
		case e.count == 0 || e.kind == typeString && e.count != 1:
			return damaged("the %s has tag %d with %d items", s.what, e.tag, e.count)
		case e.offset%e.unit() != 0:
			return damaged("the %s has tag %d at the unaligned offset %d", s.what, e.tag, e.offset)
		case uint64(e.offset) < end:
			return damaged("the %s has tag %d inside the data of another", s.what, e.tag)
		}
		end = uint64(e.offset) + uint64(e.count)*uint64(e.unit())
		if end > uint64(size) {
			return damaged("the %s has tag %d beyond the end of its %d bytes of data", s.what, e.tag, size)
		}
		s.entries = append(s.entries, e)
	}
	return nil
}

// checkData decides on the region and on the strings, whose length only the
// data knows, and sorts the entries for find.
func (s *section) checkData() error {
	if err := s.checkRegion(); err != nil {
		return err
	}
	for i, e := range s.entries {
		if !e.stringy() {
			continue
		}
		end := len(s.data)
		if i+1 < len(s.entries) {
			end = int(s.entries[i+1].offset)
		}
		rest := s.data[e.offset:end]
		for range e.count {
			nul := bytes.IndexByte(rest, 0)
			if nul < 0 {
				return damaged("the %s has tag %d with a string that does not end", s.what, e.tag)
			}
			rest = rest[nul+1:]
		}
	}
	slices.SortFunc(s.entries, func(a, b entry) int { return cmp.Compare(a.tag, b.tag) })
	for i := range s.entries[1:] {
		if s.entries[i].tag == s.entries[i+1].tag {
			return damaged("the %s has tag %d twice", s.what, s.entries[i].tag)
		}
	}
	return nil
}

// checkRegion compares the region's trailer with the index. Signing may add
// entries behind the signature header's region; the main header is immutable.
func (s *section) checkRegion() error {
	region := s.entries[0]
	trailer := s.data[region.offset:][:trailerSize]
	covered := -int64(int32(binary.BigEndian.Uint32(trailer[8:])))
	if binary.BigEndian.Uint32(trailer) != s.region ||
		binary.BigEndian.Uint32(trailer[4:]) != typeBinary ||
		binary.BigEndian.Uint32(trailer[12:]) != trailerSize ||
		covered < entrySize || covered%entrySize != 0 || covered > int64(len(s.index)) {
		return damaged("the region of the %s has no valid trailer", s.what)
	}
	if s.whole && (covered != int64(len(s.index)) || int(region.offset)+trailerSize != len(s.data)) {
		return damaged("the region of the %s is not all of it", s.what)
	}
	return nil
}

func (s *section) find(tag uint32) (entry, bool) {
	i, ok := slices.BinarySearchFunc(s.entries, tag, func(e entry, tag uint32) int { return cmp.Compare(e.tag, tag) })
	if !ok {
		return entry{}, false
	}
	return s.entries[i], true
}

func (s *section) has(tag uint32) bool {
	_, ok := s.find(tag)
	return ok
}
