package rpm

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
)

// A shape is the kind of value that a tag must have before it is read.
type shape int

const (
	shapeText   shape = iota // a string; of a translated one, the first
	shapeTexts               // strings
	shapeNumber              // unsigned numbers of 32 or 64 bits
	shapeShorts              // unsigned numbers of 16 bits
)

// A rule says how a tag that we read must look. max bounds the items and so the
// memory that reading them takes: a string takes one byte in the file and 16 or
// more here.
type rule struct {
	tag   uint32
	shape shape
	max   uint32
}

func (s *section) checkShapes(rules []rule) error {
	for _, r := range rules {
		e, ok := s.find(r.tag)
		if !ok {
			continue
		}
		fits := false
		switch r.shape {
		case shapeText:
			fits = e.kind == typeString || e.kind == typeI18NString
		case shapeTexts:
			fits = e.kind == typeStringArray || e.kind == typeString
		case shapeNumber:
			fits = e.kind == typeInt32 || e.kind == typeInt64
		case shapeShorts:
			fits = e.kind == typeInt16
		}
		if !fits {
			return damaged("the %s has tag %d with the wrong type %d", s.what, e.tag, e.kind)
		}
		if e.count > r.max {
			return damaged("the %s has tag %d with %d items, more than %d", s.what, e.tag, e.count, r.max)
		}
	}
	return nil
}

// text is the first string of a tag, fit to be shown; empty if there is none.
func (s *section) text(tag uint32) string {
	e, ok := s.find(tag)
	if !ok {
		return ""
	}
	rest := s.data[e.offset:]
	return clean(rest[:bytes.IndexByte(rest, 0)])
}

func (s *section) texts(tag uint32) []string {
	e, ok := s.find(tag)
	if !ok {
		return nil
	}
	list := make([]string, e.count)
	rest := s.data[e.offset:]
	for i := range list {
		nul := bytes.IndexByte(rest, 0)
		list[i] = clean(rest[:nul])
		rest = rest[nul+1:]
	}
	return list
}

func (s *section) numbers(tag uint32) []uint64 {
	e, ok := s.find(tag)
	if !ok {
		return nil
	}
	list := make([]uint64, e.count)
	for i := range list {
		switch e.kind {
		case typeInt16:
			list[i] = uint64(binary.BigEndian.Uint16(s.data[int(e.offset)+2*i:]))
		case typeInt64:
			list[i] = binary.BigEndian.Uint64(s.data[int(e.offset)+8*i:])
		default:
			list[i] = uint64(binary.BigEndian.Uint32(s.data[int(e.offset)+4*i:]))
		}
	}
	return list
}

// number is the first number of the first of the tags that is there.
func (s *section) number(tags ...uint32) (uint64, bool) {
	for _, tag := range tags {
		if list := s.numbers(tag); list != nil {
			return list[0], true
		}
	}
	return 0, false
}

// clean makes text of a header safe for logs, XML and pages: valid UTF-8
// without control characters.
func clean(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), "\uFFFD"))
}
